/** ONNX Runtime, native or as WebAssembly (`web`), as a child process: runs one file on one set of inputs. */
import { readFileSync } from "node:fs";
import { serve } from "../child.mjs";
import { small, tokens } from "../tokens.mjs";

/** @type {typeof import("onnxruntime-common")} */
let runtime;
/** @type {import("onnxruntime-common").InferenceSession} */
let session;
/** @type {(seed: number) => Record<string, import("onnxruntime-common").Tensor>} */
let inputs;

const makers = {
  /** Token ids [batch, tokens]. */
  ids: ({ shape, vocabulary }, seed) =>
    new runtime.Tensor(
      "int64",
      BigInt64Array.from(tokens(shape[0] * shape[1], seed, vocabulary), BigInt),
      shape,
    ),
  /** Small numbers of any shape, where it has a `seed` always the same. */
  f32: ({ shape, seed: own }, seed) =>
    new runtime.Tensor(
      "float32",
      small(
        shape.reduce((n, d) => n * d, 1),
        own ?? seed,
      ),
      shape,
    ),
};

serve({
  /** `input`: by name `{ kind, shape, ... }`, see above. */
  async open({ web = false, path, threads, input }) {
    runtime = web ? await import("onnxruntime-web") : (await import("onnxruntime-node")).default;
    if (web) runtime.env.wasm.numThreads = threads;
    session = await runtime.InferenceSession.create(web ? readFileSync(path) : path, {
      executionProviders: [web ? "wasm" : "cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
    });
    inputs = (seed) =>
      Object.fromEntries(Object.entries(input).map(([name, spec]) => [name, makers[spec.kind](spec, seed)]));
    return { versions: { ...runtime.env.versions }, sample: [...(await run(0)).slice(0, 8)] };
  },

  /** Milliseconds of one run, the mean of `repeat`. */
  async time({ repeat, seed }) {
    const given = inputs(seed);
    const start = performance.now();
    for (let i = 0; i < repeat; i++) await session.run(given);
    return { run: (performance.now() - start) / repeat };
  },
});

/** The numbers of the one output. */
const run = async (seed) => Object.values(await session.run(inputs(seed)))[0].data;
