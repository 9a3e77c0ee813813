/** The library. */
export { CheckpointError, DeviceError, FoveaError, OpError, ParameterError } from "./base/errors.ts";
export { BatchAttention, type BatchPart, makeBatch, type TokenBatch } from "./cache/index.ts";
export type { ChatTemplate, Tokenizer } from "./checkpoint/tokenizer/index.ts";
export type { Grammar } from "./decode/grammar/index.ts";
export { openDevice } from "./device/index.ts";
export type { EngineFrame, EngineSnapshot, EngineStats, Monitor } from "./engine/report.ts";
export { type Recompute, type Taped, type TapeOptions, tape } from "./grad/index.ts";
export type { Decoder, Initialization, NamedValues, TrainableWeights } from "./nn/index.ts";
/** Everything that a stream can be asked to compute: `ops.linear(stream, x, weight)`. */
export * as ops from "./ops/index.ts";
export { type Device, type DType, type Recording, Stream, Tensor } from "./ops/index.ts";
export { open } from "./tasks/open.ts";
export {
  type OpenTrainable,
  type OpenTrainableOptions,
  openTrainable,
  type RandomModel,
} from "./tasks/open-trainable.ts";
export {
  type QuantizedTensor,
  type QuantizeOptions,
  type QuantizeReport,
  quantize,
} from "./tasks/quantize.ts";
export type {
  ChatMessage,
  ChatOptions,
  FinishReason,
  GenerateOptions,
  Generation,
  GenerationResult,
  GenerationTiming,
  LanguageModel,
  ModelDescription,
  OpenOptions,
  ScoredToken,
  ScoreOptions,
  ScoreResult,
  TokenEvent,
  TokenLogprob,
} from "./tasks/types.ts";
