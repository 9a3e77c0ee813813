/** The op language: tensors, the kinds of op, streams and plans, and the boundary to the devices. */
export {
  attendDefinition,
  type CacheFormat,
  cacheFormats,
  KEY_RUN,
  KEY_TILE,
  type RopeStyle,
  rope,
} from "./attention.ts";
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
export { combine, route } from "./experts.ts";
export { embed, expertLinear, linear } from "./linear.ts";
export { type MatmulOptions, matmul, type Precision, precisions } from "./matmul.ts";
export { cast, gather } from "./movement.ts";
export { layerNorm, rmsNorm } from "./norm.ts";
export { type Adamw, adamw, average, clip, sumSquares } from "./optimizer.ts";
export { type Plan, placeOf } from "./plan.ts";
export { definitionOf, definitions, eachTensor, fieldOf, type Op, type OpKind, priceOf } from "./registry.ts";
export { type Recording, Stream } from "./stream.ts";
export { type DeviceBuffer, type DType, isArena, type Layout, Tensor, tensorBytes } from "./tensor.ts";
