/** Opens the model that the flags name, with a bar while its weights are read, and closes it after use. */
import type { LanguageModel, OpenOptions } from "../tasks/types.ts";
import type { CommandContext } from "./command.ts";
import { defaultModel } from "./default-model.ts";
import type { ModelFlags } from "./flags.ts";
import { progress } from "./progress.ts";
import { showBytes } from "./show.ts";

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
    return await use(model, performance.now() - started);
  } finally {
    await model.close();
  }
}
