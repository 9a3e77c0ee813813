/** Layers: what architectures are composed of. */
export { type AttentionParts, attention } from "./attention.ts";
export { parallel, postNorm, preNorm, sandwichNorm } from "./blocks.ts";
export { Decoder, type DecoderParts, type ForwardOptions, type Logits } from "./decoder.ts";
export { type Layer, layerNormLayer, linearLayer, perHead, rmsNormLayer, stackedHeadNorm } from "./layers.ts";
export { experts, gatedMlp, plainMlp, withSharedExpert } from "./mlp.ts";
export { logitsOf, type RecordedStep } from "./recorded-step.ts";
export {
  type LayerKind,
  Rope,
  type RopeOptions,
  type RopeScaling,
  ropeDivisors,
  ropeParameters,
  ropeScaling,
} from "./rope.ts";
export { type Block, Step } from "./step.ts";
export {
  type Initialization,
  type NamedValues,
  type TrainableOptions,
  TrainableWeights,
} from "./trainable.ts";
export { type NameMap, Weights, type WeightsLoadOptions } from "./weights.ts";
