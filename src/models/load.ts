/** From an open checkpoint and its config to a decoder whose weights are on a device. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Fields } from "../checkpoint/config.ts";
import {
  Decoder,
  type Initialization,
  TrainableWeights,
  Weights,
  type WeightsLoadOptions,
} from "../nn/index.ts";
import type { Device } from "../ops/index.ts";
import type { Architecture } from "./architecture.ts";
import { configFromGguf } from "./gguf-config.ts";
import { nameMap } from "./names.ts";
import { architectureOf, architectureOfGguf } from "./registry.ts";

export interface LoadedModel {
  readonly architecture: Architecture;
  readonly decoder: Decoder;
  readonly weights: Weights;
}

/** `config` is config.json; undefined for a GGUF file, which brings its own. */
export async function loadModel(
  checkpoint: Checkpoint,
  config: Fields | undefined,
  device: Device,
  options: WeightsLoadOptions = {},
): Promise<LoadedModel> {
  const architecture = config ? architectureOf(config) : architectureOfGguf(checkpoint);
  const fields = config ?? configFromGguf(checkpoint, architecture);
  const weights = new Weights(checkpoint, device, nameMap(architecture, checkpoint));
  try {
    const decoder = new Decoder(architecture.build(weights, fields));
    await weights.load(options);
    return { architecture, decoder, weights };
  } catch (error) {
    weights.free();
    throw error;
  }
}

export interface TrainableModel {
  readonly architecture: Architecture;
  readonly decoder: Decoder;
  readonly weights: TrainableWeights;
}

/**
 * A model that can learn, from a safetensors checkpoint or from random numbers. Tensors that `learns` picks, by their
 * names in the Hugging Face layout (default: all), are f32 and in `weights.trainable`; the others are as `loadModel`
 * has them.
 */
export async function loadTrainable(
  source: Checkpoint | Initialization,
  config: Fields,
  device: Device,
  learns?: (name: string) => boolean,
): Promise<TrainableModel> {
  const architecture = architectureOf(config);
  const options = {
    ...(learns && { learns }),
    ...("tensors" in source && { nameOf: nameMap(architecture, source) }),
  };
  const weights = new TrainableWeights(source, device, options);
  try {
    const decoder = new Decoder(architecture.build(weights, config));
    await weights.load();
    return { architecture, decoder, weights };
  } catch (error) {
    weights.free();
    throw error;
  }
}
