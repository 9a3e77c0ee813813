/** Fovea as WebAssembly, in an old and a new Node, beside native llama.cpp and llama.cpp as WebAssembly. */
import { benchModel } from "../models.mjs";
import { phases } from "./decode.mjs";
import { fovea, llama, llamaApart, newNode, wllama } from "./engines.mjs";

export const wasm = {
  name: "wasm",
  title: "WebAssembly",
  about:
    "Fovea's WebAssembly device in Node 20 (SIMD-128) and Node 24 (relaxed SIMD where the build has it), beside " +
    "native llama.cpp and wllama. wllama is made for pages; it runs in Node 24 with JSPI and 64-bit memory, over a " +
    "stand-in for a page's workers, and times itself.",

  async *plans({
    shapes = ["qwen2.5-0.5b"],
    formats = ["q4_0"],
    threadCounts,
    rounds = 5,
    prompt = 64,
    count = 16,
  }) {
    for (const shape of shapes)
      for (const format of formats)
        for (const threads of threadCounts) {
          const { path, vocabulary } = await benchModel(shape, format);
          const time = { prompt, count };
          const ours = (name, process) =>
            fovea({ path, threads, device: "wasm" }, time, { name, ...(process ? { process } : {}) });
          const context = prompt + count + 8;
          yield {
            label: `${shape} ${format}`,
            ...{ threads, rounds },
            engines: [
              ours(`Fovea wasm, Node ${process.versions.node.split(".")[0]}`),
              ours("Fovea wasm, Node 24", { execPath: newNode }),
              llama({ path, threads, vocabulary, context }, time, { name: "llama.cpp native" }),
              ...llamaApart({ path, threads, vocabulary, context }, time, {
                name: "llama.cpp native, threads apart",
              }),
              wllama({ path, threads, context }, time),
            ],
            measures: await phases(shape, format, prompt, count),
          };
        }
  },
};
