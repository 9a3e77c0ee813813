/** Opens a model that can learn: from a safetensors checkpoint, or with random weights in the shape of a config. */
import { ParameterError } from "../base/errors.ts";
import { Fields } from "../checkpoint/config.ts";
import { locate } from "../checkpoint/locate.ts";
import { openCheckpoint, readJsonFile } from "../checkpoint/open.ts";
import { openDevice } from "../device/index.ts";
import { loadTrainable, type TrainableModel } from "../models/index.ts";
import type { Initialization } from "../nn/index.ts";
import type { Device } from "../ops/index.ts";

/** A model of random weights; `config` is what its config.json would say. */
export interface RandomModel extends Initialization {
  readonly config: object;
}

export interface OpenTrainableOptions {
  /** `auto` (default), `native`, `wasm` or `reference`. */
  readonly device?: string;
  /** Default: one for each core that this process may use. */
  readonly threads?: number;
  /** Which tensors learn, by their names in the Hugging Face layout; the others stay as they are. Default: all. */
  readonly learns?: (name: string) => boolean;
}

export interface OpenTrainable extends TrainableModel {
  readonly device: Device;
  close(): Promise<void>;
}

/**
 * @param what a folder with a safetensors checkpoint, the id of one in the local Hugging Face cache, or the config of
 *   a model with random weights and their seed
 */
export async function openTrainable(
  what: string | RandomModel,
  { device: name = "auto", threads, learns }: OpenTrainableOptions = {},
): Promise<OpenTrainable> {
  const { source, config } = sourceOf(what);
  const device = await openDevice(name, threads === undefined ? {} : { threads });
  const close = async (): Promise<void> => {
    await device.close();
    if ("tensors" in source) source.close();
  };
  try {
    return { ...(await loadTrainable(source, config, device, learns)), device, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function sourceOf(what: string | RandomModel) {
  if (typeof what !== "string") {
    if (typeof what?.config !== "object")
      throw new ParameterError("what", "must name a folder or a model, or be { config, seed }");
    const config = structuredClone(what.config) as ConstructorParameters<typeof Fields>[1];
    return { source: what, config: new Fields("config", config) };
  }
  const files = locate(what);
  if (files.config === undefined)
    throw new ParameterError("what", `${what} has no config.json; training needs a safetensors checkpoint`);
  return { source: openCheckpoint(files), config: new Fields(files.config, readJsonFile(files.config)) };
}
