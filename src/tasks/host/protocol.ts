/** What a process that holds a model and the one that uses it say to each other: plain data, structured clones. */
import { CheckpointError, DeviceError, FoveaError, OpError, ParameterError } from "../../base/errors.ts";
import type { EngineFrame, EngineSnapshot } from "../../engine/report.ts";
import type {
  ChatMessage,
  ChatOptions,
  GenerateOptions,
  GenerationResult,
  ModelDescription,
  OpenOptions,
  ScoredToken,
  ScoreResult,
  TokenEvent,
} from "../types.ts";

/** What to open: a checkpoint as `open` takes it, or random weights of a shape. */
export type Source = { readonly path: string } | { readonly random: string };

/** Options that can be sent: signals and callbacks stay at home. */
export type PlainOpen = Omit<OpenOptions, "signal" | "onProgress">;
export type PlainGenerate = Omit<GenerateOptions, "signal">;
export type PlainChat = Omit<ChatOptions, "signal">;

export type Ask =
  | {
      readonly kind: "generate";
      readonly prompt: string | readonly number[];
      readonly options: PlainGenerate;
    }
  | {
      readonly kind: "chat";
      readonly messages: readonly ChatMessage[] | readonly number[];
      readonly options: PlainChat;
    };

export type Call =
  /** How the engine stands. */
  | { readonly kind: "snapshot" }
  | { readonly kind: "logits"; readonly ids: readonly number[] }
  | { readonly kind: "logprobs"; readonly ids: readonly number[]; readonly top: number }
  | { readonly kind: "score"; readonly ids: readonly number[]; readonly window?: number };

/** What each kind of call gives. */
export interface Answers {
  readonly snapshot: EngineSnapshot;
  readonly logits: Float32Array[];
  readonly logprobs: ScoredToken[];
  readonly score: ScoreResult;
}

/** To the host. */
export type Request =
  | { readonly kind: "open"; readonly source: Source; readonly options: PlainOpen }
  | { readonly kind: "start"; readonly id: number; readonly ask: Ask }
  | { readonly kind: "call"; readonly id: number; readonly call: Call }
  /** Ends a generation or call. */
  | { readonly kind: "abort"; readonly id: number }
  /** Whether a generation's reader is so far behind that it should wait. */
  | { readonly kind: "hold"; readonly id: number; readonly on: boolean }
  /** Whether somebody looks at the engine. */
  | { readonly kind: "watch"; readonly on: boolean }
  | { readonly kind: "close" };

export interface Facts {
  readonly name: string;
  readonly architecture: string;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly description: ModelDescription;
}

/** Of a result, what its events do not tell already. */
export type Ending = Omit<GenerationResult, "tokens" | "logprobs">;

/** From the host. */
export type Reply =
  | { readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly kind: "opened"; readonly facts: Facts }
  | { readonly kind: "failed"; readonly error: PlainError }
  /** Tokens of several generations, in the order in which they were made. */
  | { readonly kind: "events"; readonly events: readonly (readonly [id: number, event: TokenEvent])[] }
  | {
      readonly kind: "ended";
      readonly id: number;
      readonly ending: Ending;
      readonly description: ModelDescription;
    }
  | { readonly kind: "value"; readonly id: number; readonly value: Answers[Call["kind"]] }
  | { readonly kind: "frame"; readonly frame: EngineFrame }
  | { readonly kind: "progressed"; readonly id: number; readonly done: number; readonly total: number }
  | { readonly kind: "error"; readonly id: number; readonly error: PlainError };

/** An error as plain data: its class by name, and what that class was made of. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly where?: string | undefined;
}

export function plainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message, stack } = error;
  if (error instanceof ParameterError) return { name, message, where: error.parameter };
  if (error instanceof DeviceError) return { name, message, where: error.device };
  if (error instanceof OpError) return { name, message, where: error.op };
  if (error instanceof CheckpointError) return { name, message, where: error.file };
  if (error instanceof FoveaError) return { name, message };
  return { name, message, stack };
}

/** The same kind of error, with the same message; a bug keeps the stack of where it was made. */
export function errorFrom({ name, message, stack, where = "" }: PlainError): Error {
  const rest = message.startsWith(`${where}: `) ? message.slice(where.length + 2) : message;
  if (name === "ParameterError") return new ParameterError(where, rest);
  if (name === "DeviceError") return new DeviceError(where, rest);
  if (name === "OpError") return new OpError(where, rest);
  // Its message has the field and the offset in it.
  if (name === "CheckpointError") return Object.assign(new CheckpointError(where, ""), { message });
  if (name === "FoveaError") return new FoveaError(message);
  const error = name === "AbortError" ? new DOMException(message, name) : new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
