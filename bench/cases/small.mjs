/** Decode of small models, where what is not arithmetic counts. */
import { benchModel } from "../models.mjs";
import { phases } from "./decode.mjs";
import { fovea, llama, llamaApart } from "./engines.mjs";

export const small = {
  name: "small",
  title: "Small models",
  about:
    "Decode, where the work around the arithmetic counts: Fovea's time includes sampling, text and the hand-over " +
    "between JavaScript and its threads; llama.cpp's the hand-over alone.",

  async *plans({ threadCounts, rounds = 7, device, quick }) {
    const pairs = [
      ["stories-260k", "f32"],
      ["llama-10m", "q4_0"],
      ["llama-10m", "f16"],
    ];
    for (const [shape, format] of quick ? pairs.slice(0, 2) : pairs)
      for (const threads of new Set([1, ...threadCounts])) {
        const { path, vocabulary } = await benchModel(shape, format);
        const [prompt, count] = [16, 128];
        const theirs = (threads) => ({ path, threads, vocabulary, context: prompt + count + 8 });
        const peer = (threads, variant) => llama(theirs(threads), { prompt, count }, variant);
        const [, decode] = await phases(shape, format, prompt, count);
        yield {
          label: `${shape} ${format}`,
          ...{ threads, rounds, brief: true },
          engines: [
            fovea({ path, threads, device }, { prompt, count }),
            ...(threads === 1 ? [] : [peer(1, { name: "llama.cpp, 1 thread" })]),
            peer(threads),
            ...llamaApart(theirs(threads), { prompt, count }),
          ],
          measures: [
            { ...decode, limit: undefined }, // the weights lie in the cache: the speed of memory is no bound
          ],
        };
      }
  },
};
