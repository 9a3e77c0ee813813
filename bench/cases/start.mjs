/** From nothing to the first token: the first time with a file, and the second. */
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { benchModel } from "../models.mjs";
import { fovea, llama } from "./engines.mjs";

export const start = {
  name: "start",
  title: "Start",
  about:
    "From opening the file to the first token after a prompt of 8, in a new process (whose own start is not counted); " +
    "the file's pages are in memory already. First: nothing of Fovea's lies beside the file. Second: what the first " +
    "left beside it does.",

  async *plans({ shapes = ["llama-1.1b"], formats = ["q4_0"], threadCounts, rounds = 3, device }) {
    for (const shape of shapes)
      for (const format of formats) {
        const threads = Math.max(...threadCounts);
        const { vocabulary, path: made } = await benchModel(shape, format);
        const { path, clear } = alone(made);
        const time = { prompt: 8, count: 1 };
        yield {
          label: `${shape} ${format}`,
          ...{ threads, rounds, fresh: true },
          engines: [
            // In this order a second start follows a first, and a first clears what is there.
            fovea({ path, threads, device, keep: true }, time, { name: "Fovea, first", before: clear }),
            fovea({ path, threads, device, keep: true }, time, { name: "Fovea, second" }),
            llama({ path, threads, vocabulary, context: 256 }, time),
          ],
          measures: [
            { name: "to the first token", unit: "ms", of: ({ open, prefill }) => open + prefill },
            { name: "of it opening", unit: "ms", of: ({ open }) => open },
          ],
        };
      }
  },
};

/** The file in a folder of its own, and what clears all else there. */
function alone(made) {
  const folder = join(tmpdir(), "fovea-bench", "start");
  const path = join(folder, basename(made));
  mkdirSync(folder, { recursive: true });
  if (!existsSync(path)) linkSync(made, path);
  const clear = () => {
    for (const name of readdirSync(folder))
      if (name !== basename(made)) rmSync(join(folder, name), { recursive: true });
  };
  return { path, clear };
}
