/** Opens random weights of a known shape, made in memory: for measurements. */
import { Fields } from "../checkpoint/config.ts";
import { parseRandom, randomCheckpoint } from "../checkpoint/random.ts";
import { openModel } from "./open.ts";
import type { LanguageModel, OpenOptions } from "./types.ts";

/** @param shapeAndFormat such as `llama-1.1b:q4_0` */
export async function openRandom(shapeAndFormat: string, options: OpenOptions = {}): Promise<LanguageModel> {
  const { shape, format } = parseRandom(shapeAndFormat);
  const { checkpoint, config } = randomCheckpoint(shape, format);
  const fields = new Fields(checkpoint.path, config);
  return openModel(shapeAndFormat, checkpoint, fields, () => undefined, [], options);
}
