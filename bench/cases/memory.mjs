/** The most memory that a process holds. */
import { benchModel } from "../models.mjs";
import { fovea, llama } from "./engines.mjs";

export const memory = {
  name: "memory",
  title: "Memory while running",
  about:
    "The most that a process holds (VmHWM: its own pages and those of mapped files, Node included) from its start " +
    "through opening the model, a prompt of 512 and 16 more tokens.",

  async *plans({ shapes = ["llama-1.1b"], formats = ["q4_0"], threadCounts, rounds = 3, device }) {
    const [prompt, count] = [512, 16];
    for (const shape of shapes)
      for (const format of formats) {
        const { path, vocabulary } = await benchModel(shape, format);
        const threads = Math.max(...threadCounts);
        yield {
          label: `${shape} ${format}`,
          ...{ threads, rounds, fresh: true },
          engines: [
            fovea({ path, threads, device, keep: true }, { prompt, count }),
            llama({ path, threads, vocabulary, context: prompt + count + 8 }, { prompt, count }),
          ],
          measures: [{ name: "peak memory", unit: "MiB", of: (times) => times.peakBytes }],
        };
      }
  },
};
