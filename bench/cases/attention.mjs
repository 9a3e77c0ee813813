/** Attention over many keys: a model at 8k tokens, less the same at none. */
import { benchModel } from "../models.mjs";
import { priceParts } from "../price.mjs";
import { fovea, llama, llamaApart } from "./engines.mjs";

const [SHAPE, FORMAT] = ["smollm2-135m", "q4_0"];
const [CONTEXT, PROMPT, STEPS] = [8192, 512, 16];
const LONG = CONTEXT - PROMPT;
/** Sequence 0 is long, sequence 1 empty. */
const parts = [
  { name: "prefill at 8k", sequences: [0], tokens: PROMPT, steps: 1 },
  { name: "decode at 8k", sequences: [0], tokens: 1, steps: STEPS },
  { name: "prefill at 0", sequences: [1], tokens: PROMPT, steps: 1 },
  { name: "decode at 0", sequences: [1], tokens: 1, steps: STEPS },
];

export const attention = {
  name: "attention",
  title: "Attention over 8k keys",
  about:
    `${SHAPE} (30 layers, 9 heads of 64 over 3 key heads; at ${CONTEXT} tokens 189 MB of keys and values in f16 beside ` +
    `76 MB of weights in ${FORMAT}): ${PROMPT} tokens on top of ${LONG}, and ${STEPS} tokens one by one there. ` +
    `"Attention" is the time beyond the same steps of an empty sequence. llama.cpp with its threads apart.`,

  async *plans({ threadCounts, rounds = 5, device }) {
    const { path, vocabulary } = await benchModel(SHAPE, FORMAT);
    const prices = await priceParts(SHAPE, FORMAT, [LONG, 0], parts);
    const beyond = (name, kind) => prices[`${name} at 8k`][kind] - prices[`${name} at 0`][kind];
    const difference = (name) => (times) => times[`${name} at 8k`] - times[`${name} at 0`];
    for (const threads of threadCounts) {
      const open = { path, threads, lengths: [LONG, 0] };
      const peer = (name, flashAttention) => {
        const theirs = { ...open, vocabulary, flashAttention, context: CONTEXT + 256 };
        const [apart = llama(theirs, { parts }, { name })] = llamaApart(theirs, { parts }, { name });
        return apart;
      };
      yield {
        label: `${SHAPE} ${FORMAT}, 8k`,
        ...{ threads, rounds },
        engines: [
          fovea({ ...open, device }, { parts }, { script: "fovea-decoder.mjs" }),
          peer("llama.cpp, flash attention", true),
          peer("llama.cpp, without", false),
        ],
        measures: [
          {
            ...{ name: `prefill ${PROMPT}, whole model`, unit: "tok/s", amount: PROMPT },
            of: (times) => times["prefill at 8k"],
          },
          {
            ...{ name: `prefill ${PROMPT}, attention`, unit: "ms", of: difference("prefill"), limit: "f32" },
            work: { operations: beyond("prefill", "operations") },
          },
          {
            ...{ name: `decode ${STEPS}, whole model`, unit: "tok/s", amount: STEPS },
            ...{ of: (times) => times["decode at 8k"], work: prices["decode at 8k"], limit: "read" },
          },
          {
            ...{ name: "decode, attention, per token", unit: "ms", amount: STEPS, of: difference("decode") },
            ...{ work: { bytes: beyond("decode", "bytes") }, limit: "read" },
          },
        ],
      };
    }
  },
};
