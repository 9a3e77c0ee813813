/** The binaries of the kernels: one for each instruction set of WebAssembly. */

/** The instruction sets, best first; each with a binary of its own. */
export const isas = ["wasm_relaxed", "wasm"] as const;
export type Isa = (typeof isas)[number];

/** Beside this file. */
export const binaries: Readonly<Record<Isa, string>> = {
  wasm_relaxed: "kernels-relaxed.wasm",
  wasm: "kernels.wasm",
};
