/** The op language: tensors, the kinds of op, streams and plans, and the boundary to the devices. */
export { attendWithin, type WithinOptions } from "./attend-within.ts";
export {
  attendDefinition,
  type CacheFormat,
  cacheFormats,
  KEY_RUN,
  KEY_TILE,
  type RopeStyle,
  rope,
} from "./attention.ts";
export { blockSoftmax, SOFTMAX_BLOCK } from "./block-softmax.ts";
export { CHECKSUM_BYTES, checksum } from "./checksum.ts";
export type { OpDefinition, Price } from "./define.ts";
export type { Device, PreparedPlan, RunResult } from "./device.ts";
export {
  type ActivationName,
  activation,
  activations,
  add,
  gated,
  mul,
  scale,
  softcap,
} from "./elementwise.ts";
export { activationGrad, gatedGrad } from "./elementwise-grad.ts";
export { combine, route } from "./experts.ts";
export { embed, expertLinear, linear, MOST_ROW } from "./linear.ts";
export { type CrossEntropyOptions, crossEntropy, klDivergence } from "./losses.ts";
export { type MatmulOptions, matmul, type Precision, precisions } from "./matmul.ts";
export { cast, gather } from "./movement.ts";
export { layerNorm, rmsNorm } from "./norm.ts";
export { type NormName, norms } from "./norm-grad.ts";
export { type Adamw, adamw, average, clip, sumSquares } from "./optimizer.ts";
export { type Plan, placeOf } from "./plan.ts";
export { type SumOptions, scatterAdd, sum } from "./reduce.ts";
export { definitionOf, definitions, eachTensor, fieldOf, type Op, type OpKind, priceOf } from "./registry.ts";
export { type Recording, Stream, type StreamOptions } from "./stream.ts";
export { type DeviceBuffer, type DType, isArena, type Layout, Tensor, tensorBytes } from "./tensor.ts";
export {
  type Choice,
  isChoice,
  most,
  type Product,
  type TimedProduct,
  type TunedProduct,
  type Tuner,
  usual,
} from "./tuning.ts";
