/** Prefill and decode of one sequence, for each shape and format. */
import { benchModel } from "../models.mjs";
import { priceParts } from "../price.mjs";
import { arithmeticOf, fovea, llama, llamaApart } from "./engines.mjs";

export const decode = {
  name: "decode",
  title: "Prefill and decode",
  about:
    "One sequence: from a prompt to the logits after its last token, then token by token. Fovea samples and makes " +
    "text, as for a user; llama.cpp computes on given tokens, as in its own benchmark. Its threads are made anew for each token; " +
    '"threads apart" is what it reaches when each starts on a core of its own.',

  async *plans({ shapes, formats, threadCounts, prompt = 512, count = 32, rounds = 5, device, quick }) {
    for (const shape of shapes ?? (quick ? ["qwen2.5-0.5b"] : ["llama-1.1b", "qwen2.5-0.5b"]))
      for (const format of formats ?? (quick ? ["q4_0"] : ["q4_0", "q8_0", "q4_K", "f16"])) {
        if (format.endsWith("_K") && shape === "qwen2.5-0.5b") {
          const skipped =
            "its width of 896 is no multiple of the 256 of a K block; others fall back to other formats";
          yield { label: `${shape} ${format}`, skipped };
          continue;
        }
        for (const threads of threadCounts)
          yield await decodePlan({ shape, format, threads, prompt, count, rounds, device });
      }
  },
};

/** Both phases on a model, measured beside llama.cpp. */
export async function decodePlan({ shape, format, threads, prompt, count, rounds, device }) {
  const { path, vocabulary } = await benchModel(shape, format);
  const theirs = { path, threads, vocabulary, context: prompt + count + 8 };
  return {
    label: `${shape} ${format}`,
    ...{ threads, rounds },
    engines: [
      fovea({ path, threads, device }, { prompt, count }),
      llama(theirs, { prompt, count }),
      ...llamaApart(theirs, { prompt, count }),
    ],
    measures: await phases(shape, format, prompt, count),
  };
}

/** What is read off a prompt of so many tokens and as many more, one by one. */
export async function phases(shape, format, prompt, count) {
  const tokens = { sequences: [0], steps: 1 };
  const { prefill } = await priceParts(shape, format, [0], [{ name: "prefill", ...tokens, tokens: prompt }]);
  const { decode } = await priceParts(
    shape,
    format,
    [prompt],
    [{ ...tokens, name: "decode", tokens: 1, steps: count }],
  );
  return [
    {
      ...{ name: `prefill ${prompt}`, unit: "tok/s", amount: prompt, of: (times) => times.prefill },
      ...{ work: prefill, limit: arithmeticOf(format) },
    },
    {
      ...{ name: `decode ${count}`, unit: "tok/s", amount: count, of: (times) => times.decode },
      ...{ work: decode, limit: "read" },
    },
  ];
}
