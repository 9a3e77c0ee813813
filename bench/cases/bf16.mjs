/** Products in bf16, as `precision: "bf16"` asks for them, beside those in f32 and beside the peers' f32 and f16. */
import { bert, bertFile } from "../bert.mjs";
import { benchModel } from "../models.mjs";
import { priceParts } from "../price.mjs";
import { phases } from "./decode.mjs";
import { LENGTH, price } from "./encoder.mjs";
import { fovea, llama, llamaApart, onnx } from "./engines.mjs";

const PROMPT = 32; // tokens that each sequence of a batch has already
const STEPS = 8;
/** Largest difference of an encoder's outputs, whose deviation is 1, from those in f32. */
const TOLERANCE = 0.1;

const both = (make) => [
  make({ precision: "bf16" }, { name: "Fovea bf16" }),
  make({ precision: "f32" }, { name: "Fovea f32" }),
];

export const bf16 = {
  name: "bf16",
  title: "Products in bf16",
  about:
    'Weights of float formats, with the option precision "bf16": weights and activations are rounded to bf16 before ' +
    "they are multiplied, sums are f32; an encoder's attention does the same. Peers multiply as they do by themselves: " +
    "llama.cpp f16 weights, ONNX Runtime f32.",

  async *plans({ shapes = ["llama-1.1b", "qwen2.5-0.5b"], threadCounts, rounds = 5, device, quick }) {
    for (const threads of threadCounts) {
      for (const shape of quick ? shapes.slice(-1) : shapes)
        yield await oneSequence({ shape, threads, rounds, device });
      for (const sequences of quick ? [8] : [8, 32])
        yield await manySequences({ shape: shapes[0], sequences, threads, rounds, device });
      for (const batch of quick ? [1] : [1, 8]) yield await encoding({ batch, threads, rounds, device });
    }
  },
};

async function oneSequence({ shape, threads, rounds, device }) {
  const [prompt, count] = [512, 32];
  const { path, vocabulary } = await benchModel(shape, "f16");
  const theirs = { path, threads, vocabulary, context: prompt + count + 8 };
  const time = { prompt, count };
  const measures = await phases(shape, "f16", prompt, count);
  return {
    label: `${shape} f16`,
    ...{ threads, rounds },
    engines: [
      ...both((options, variant) => fovea({ path, threads, device, ...options }, time, variant)),
      llama(theirs, time),
      ...llamaApart(theirs, time),
    ],
    measures: measures.map((one) => (one.limit === "f32" ? { ...one, limit: "bf16" } : one)),
  };
}

async function manySequences({ shape, sequences, threads, rounds, device }) {
  const { path, vocabulary } = await benchModel(shape, "f16");
  const lengths = Array(sequences).fill(PROMPT);
  const parts = [{ name: "decode", sequences: [...lengths.keys()], tokens: 1, steps: STEPS }];
  const { decode } = await priceParts(shape, "f16", lengths, parts);
  const open = { path, threads, lengths };
  const theirs = { ...open, vocabulary, context: PROMPT + STEPS + 8 };
  return {
    label: `${shape} f16, ${sequences} sequences`,
    ...{ threads, rounds },
    engines: [
      ...both((options, variant) =>
        fovea({ ...open, device, ...options }, { parts }, { script: "fovea-decoder.mjs", ...variant }),
      ),
      llama(theirs, { parts }),
      ...llamaApart(theirs, { parts }),
    ],
    measures: [
      {
        ...{ name: `decode ${STEPS}`, unit: "tok/s", amount: sequences * STEPS },
        ...{ of: (times) => times.decode, work: decode, limit: "read" },
      },
    ],
  };
}

async function encoding({ batch, threads, rounds, device }) {
  const time = { repeat: Math.max(1, Math.round(8 / batch)) };
  const open = { threads, batch, length: LENGTH, format: "f32", device };
  const input = { ids: { kind: "ids", shape: [batch, LENGTH], vocabulary: bert.vocabulary } };
  return {
    label: `BERT-base f32, batch ${batch}`,
    ...{ threads, rounds },
    engines: [
      ...both((options, variant) =>
        fovea({ ...open, ...options }, time, { script: "fovea-encoder.mjs", ...variant }),
      ),
      onnx({ path: bertFile("f32"), threads, input }, time),
    ],
    brief: true,
    tolerance: TOLERANCE,
    measures: [
      {
        ...{ name: "one run", unit: "ms", of: (times) => times.run },
        ...{ work: await price("f32", batch), limit: "bf16" },
      },
    ],
  };
}
