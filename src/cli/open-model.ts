/** Opens the model that the flags name, with a bar while its weights are read, and closes it after use. */
import { fileURLToPath } from "node:url";
import type { LanguageModel, OpenOptions } from "../tasks/types.ts";
import type { CommandContext } from "./command.ts";
import { defaultModel } from "./default-model.ts";
import type { ModelFlags } from "./flags.ts";
import { print } from "./io.ts";
import { progress } from "./progress.ts";
import { showBytes } from "./show.ts";

/** The script that an install runs, where install scripts may run. */
const builder = fileURLToPath(new URL("../../scripts/build-native.mjs", import.meta.url));
const withoutAddon = `fovea: there is no native add-on, so this runs as WebAssembly, more slowly; with a C++ compiler, make it by
  node ${builder}
`;

const isWasm = (model: LanguageModel): boolean => model.describe().device.startsWith("WebAssembly");

/** @param use gets the model and the milliseconds that opening it took */
export async function withModel<T>(
  { io, services }: CommandContext,
  { model: named, random, device, threads, precision, packedCache, sequences, cacheTokens }: ModelFlags,
  use: (model: LanguageModel, loadMs: number) => Promise<T>,
): Promise<T> {
  const started = performance.now();
  const bar = progress(io.stderr, "reading", showBytes);
  let model: LanguageModel;
  try {
    const options: OpenOptions = {
      device,
      ...(threads === undefined ? {} : { threads }),
      ...(precision === undefined ? {} : { precision }),
      ...(packedCache === undefined ? {} : { packedCache }),
      ...(sequences === undefined ? {} : { sequences }),
      ...(cacheTokens === undefined ? {} : { cacheTokens }),
      onProgress: bar.update,
      signal: io.signal,
    };
    if (random !== undefined) model = await services.openRandom(random, options);
    else if (named !== undefined) model = await services.open(named, options);
    else {
      const { folder, name } = defaultModel();
      model = await services.open(folder, { name, ...options });
    }
  } finally {
    bar.end();
  }
  try {
    if (device === "auto" && process.env.FOVEA_NO_ADDON !== "1" && isWasm(model))
      await print(io.stderr, withoutAddon);
    return await use(model, performance.now() - started);
  } finally {
    await model.close();
  }
}
