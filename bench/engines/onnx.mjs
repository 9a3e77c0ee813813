/** ONNX Runtime, native or as WebAssembly (`web`), as a child process: runs one file on one set of inputs. */
import { readFileSync } from "node:fs";
import { serve } from "../child.mjs";
import { quality } from "../quality.mjs";
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
  /** `input`: by name `{ kind, shape, ... }`, see above. `exact`: a file whose output is the right one. */
  async open({ web = false, path, threads, input, exact }) {
    runtime = web ? await import("onnxruntime-web") : (await import("onnxruntime-node")).default;
    if (web) runtime.env.wasm.numThreads = threads;
    const start = (file) =>
      runtime.InferenceSession.create(web ? readFileSync(file) : file, {
        executionProviders: [web ? "wasm" : "cpu"],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: "all",
      });
    inputs = (seed) =>
      Object.fromEntries(Object.entries(input).map(([name, spec]) => [name, makers[spec.kind](spec, seed)]));
    let right;
    if (exact) {
      session = await start(exact);
      right = (await run(0)).slice();
      await session.release();
    }
    session = await start(path);
    const outputs = await run(0);
    return {
      versions: { ...runtime.env.versions },
      sample: [...outputs.slice(0, 8)],
      ...(right ? { quality: quality(outputs, right) } : {}),
    };
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
