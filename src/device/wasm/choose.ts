/**
 * Which instruction set runs: the relaxed one where the engine understands it and a check with known numbers
 * finds that it computes what the kernels assume, else the plain one.
 */
import { DeviceError } from "../../base/errors.ts";
import { type Isa, isas } from "./binaries.ts";
import type { Host } from "./host.ts";
import { instantiate, type Module, newMemory, unshared } from "./module.ts";

export interface Kernels {
  readonly isa: Isa;
  readonly compiled: WebAssembly.Module;
  readonly module: Module;
}

/** `wish`: the instruction set that must be used. Throws a `DeviceError` when that one cannot be. */
export async function loadKernels(host: Host, wish = host.isa): Promise<Kernels> {
  if (wish !== undefined && !isas.some((isa) => isa === wish))
    throw new DeviceError("wasm", `there is no instruction set ${wish}; there are ${isas.join(", ")}`);
  for (const isa of isas) {
    if (wish !== undefined && isa !== wish) continue;
    const kernels = await load(host, isa);
    if (typeof kernels !== "string") return kernels;
    if (isa === wish || isa === isas.at(-1))
      throw new DeviceError("wasm", `the instruction set ${isa} cannot be used: ${kernels}`);
  }
  throw new DeviceError("wasm", "there is no instruction set");
}

/** The kernels of an instruction set, or why it cannot be used here. */
async function load(host: Host, isa: Isa): Promise<Kernels | string> {
  if (isa === "wasm_relaxed" && host.distrust !== undefined) return host.distrust;
  const binary = await host.binary(isa);
  let compiled: WebAssembly.Module;
  try {
    compiled = await WebAssembly.compile(host.shared ? binary : unshared(binary));
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError)) throw error;
    return `this engine does not understand its instructions (${error.message})`;
  }
  const { memory, mostPages } = newMemory(host.shared);
  const module = instantiate(compiled, memory, mostPages);
  const faults = module.check();
  return faults === 0
    ? { isa, compiled, module }
    : `its instructions compute something else here (${faults})`;
}
