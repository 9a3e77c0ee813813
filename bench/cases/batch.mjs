/** Decode of several sequences, all of them in each step. */
import { benchModel } from "../models.mjs";
import { priceParts } from "../price.mjs";
import { fovea, llama, llamaApart } from "./engines.mjs";

const PROMPT = 32; // tokens that each sequence has already
const STEPS = 8;

export const batch = {
  name: "batch",
  title: "Batched decode",
  about:
    "One token for each of several sequences in one step, with the logits of all: llama.cpp's parallel sequences in " +
    `one batch, Fovea's decoder on one ragged batch. Each sequence has ${PROMPT} tokens before.`,

  async *plans({ shapes = ["llama-1.1b"], formats = ["q4_0"], threadCounts, rounds = 5, device, quick }) {
    for (const shape of shapes)
      for (const format of formats)
        for (const sequences of quick ? [8] : [8, 32])
          for (const threads of threadCounts) {
            const { path, vocabulary } = await benchModel(shape, format);
            const lengths = Array(sequences).fill(PROMPT);
            const parts = [{ name: "decode", sequences: [...lengths.keys()], tokens: 1, steps: STEPS }];
            const { decode } = await priceParts(shape, format, lengths, parts);
            const open = { path, threads, lengths };
            const theirs = { ...open, vocabulary, context: PROMPT + STEPS + 8 };
            yield {
              label: `${shape} ${format}, ${sequences} sequences`,
              ...{ threads, rounds },
              engines: [
                fovea({ ...open, device }, { parts }, { script: "fovea-decoder.mjs" }),
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
  },
};
