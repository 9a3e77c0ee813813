/** The first token after a prompt that the cache has seen, and after one that it has not. */
import { benchModel } from "../models.mjs";
import { fovea } from "./engines.mjs";

const [PROMPT, NEW] = [2048, 48];

export const prefix = {
  name: "prefix",
  title: "First token after a known prompt",
  about: `A prompt of ${PROMPT} tokens of which the cache has all but the last ${NEW}, and one that is new to it.`,

  async *plans({ shapes = ["qwen2.5-0.5b"], formats = ["q4_0"], threadCounts, rounds = 5, device }) {
    for (const shape of shapes)
      for (const format of formats)
        for (const threads of threadCounts) {
          const { path } = await benchModel(shape, format);
          const open = { path, threads, device };
          const time = { prompt: PROMPT, count: 1 };
          yield {
            label: `${shape} ${format}`,
            ...{ threads, rounds },
            engines: [
              fovea(open, { ...time, known: PROMPT - NEW }, { name: "Fovea, known" }),
              { ...fovea(open, time, { name: "Fovea, new" }), ours: false },
            ],
            measures: [{ name: "first token", unit: "ms", of: (times) => times.prefill }],
          };
        }
  },
};
