/** Clients that ask again as soon as they have their answer: what an engine serves to many, and to one. */
import { benchModel, defaultModel } from "../models.mjs";
import { fovea, llama, llamaApart } from "./engines.mjs";

const [PROMPT, COUNT] = [64, 32];

export const clients = {
  name: "clients",
  title: "Many clients at once",
  about:
    `Closed loop: every client asks for ${COUNT} tokens after a prompt of ${PROMPT} of its own, greedily, and asks again ` +
    "when it has them; tokens written by all. Fovea through its library, llama.cpp through node-llama-cpp's sequences.",

  async *plans({
    shapes = ["default", "qwen2.5-0.5b", "llama-1.1b"],
    formats = ["q4_0"],
    threadCounts,
    rounds = 5,
    device,
  }) {
    for (const shape of shapes)
      for (const format of shape === "default" ? ["as it ships"] : formats)
        for (const threads of threadCounts)
          for (const count of [1, 32]) {
            const small = shape === "default";
            const { path, vocabulary } = small ? defaultModel() : await benchModel(shape, format);
            const requests = (count === 1 ? 4 : 1) * (small ? 12 : 1);
            const time = { clients: count, requests, prompt: PROMPT, count: COUNT };
            const theirs = {
              path,
              threads,
              vocabulary,
              lengths: Array(count).fill(0),
              context: PROMPT + COUNT + 8,
            };
            yield {
              label: `${shape} ${format}, ${count} ${count === 1 ? "client" : "clients"}`,
              ...{ threads, rounds },
              engines: [
                fovea({ path, threads, device }, time),
                llama(theirs, time),
                ...llamaApart(theirs, time),
              ],
              measures: [
                {
                  ...{ name: "written", unit: "tok/s", amount: count * requests * COUNT },
                  of: (times) => times.clients,
                },
              ],
            };
          }
  },
};
