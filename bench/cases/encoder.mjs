/** A BERT-base encoder: f32 and int8, native and as WebAssembly, beside ONNX Runtime. */
import { bert, bertFile } from "../bert.mjs";
import { Encoder } from "../encoder.mjs";
import { PricingDevice } from "../price.mjs";
import { fovea, newNode, onnx, onnxWeb } from "./engines.mjs";

export const LENGTH = 128;
/** Largest difference of outputs, whose deviation is 1: sums in another order, or two ways to round to 8 bits. */
const TOLERANCE = { f32: 1e-4, int8: 0.2 };

export const encoder = {
  name: "encoder",
  title: "Encoder (BERT-base)",
  about:
    `${bert.layers} layers, width ${bert.width}, ${LENGTH} tokens without padding, random weights; the same numbers ` +
    "for all, and the outputs are compared. ONNX Runtime gets its own fused ops (Attention, SkipLayerNormalization, " +
    "BiasGelu; QAttention, DynamicQuantizeMatMul), all optimizations on. int8: weights and activations, ONNX " +
    "Runtime with one scale for each matrix, Fovea with one for each row (i8_row), or for each 32 numbers (q8_0); " +
    "the .json has each engine's error to its own f32.",

  async *plans({ threadCounts, rounds = 7, quick, device }) {
    for (const kind of ["f32", "int8"])
      for (const batch of quick ? [1] : [1, 8])
        for (const threads of threadCounts)
          yield await plan({ kind, batch, threads, rounds, device, wasm: false });
    for (const threads of threadCounts)
      yield await plan({ kind: "f32", batch: 1, threads, rounds, wasm: true });
  },
};

async function plan({ kind, batch, threads, rounds, device, wasm }) {
  const formats = kind === "f32" ? ["f32"] : ["i8_row", "q8_0"];
  const work = await price(formats[0], batch);
  const time = { repeat: wasm ? 1 : Math.max(1, Math.round(8 / batch)) };
  const ours = { threads, batch, length: LENGTH };
  const theirs = {
    ...{ path: bertFile(kind), threads, ...(kind === "int8" ? { exact: bertFile("f32") } : {}) },
    input: { ids: { kind: "ids", shape: [batch, LENGTH], vocabulary: bert.vocabulary } },
  };
  const script = "fovea-encoder.mjs";
  return {
    label: `${kind}, batch ${batch}${wasm ? ", Node 24" : ""}`,
    ...{ threads, rounds },
    engines: wasm
      ? [
          fovea({ ...ours, format: formats[0], device: "wasm" }, time, {
            ...{ name: "Fovea wasm", script, process: { execPath: newNode } },
          }),
          onnxWeb(theirs, time),
        ]
      : [
          ...formats.map((format) =>
            fovea({ ...ours, format, device }, time, {
              ...{ name: formats.length > 1 ? `Fovea ${format}` : "Fovea", script },
            }),
          ),
          onnx(theirs, time),
        ],
    brief: !wasm,
    tolerance: TOLERANCE[kind],
    measures: [{ name: "one run", unit: "ms", of: (times) => times.run, work, limit: kind }],
  };
}

/** What a run costs, from its ops. */
export async function price(format, batch) {
  const device = new PricingDevice();
  const encoder = new Encoder(device, format, (_, count) => new Float32Array(count));
  await encoder.load();
  encoder.prepare(batch, LENGTH);
  device.total = { bytes: 0, operations: 0 };
  await encoder.run(new Int32Array(batch * LENGTH));
  return device.total;
}
