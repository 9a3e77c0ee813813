/** The library. */
export { CheckpointError, DeviceError, FoveaError, OpError, ParameterError } from "./base/errors.ts";
export type { ChatTemplate, Tokenizer } from "./checkpoint/tokenizer/index.ts";
export type { Grammar } from "./decode/grammar/index.ts";
export { open } from "./tasks/open.ts";
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
  ScoreOptions,
  TokenEvent,
  TokenLogprob,
} from "./tasks/types.ts";
