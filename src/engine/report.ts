/**
 * What an engine tells of itself: plain data that can be sent anywhere. Ids, lengths and counts only; no token and no
 * text of any request.
 */

/** Counts since the engine was made, and how things stand now. */
export interface EngineStats {
  readonly running: number;
  readonly waiting: number;
  readonly blocks: BlockCounts;
  readonly steps: number;
  /** Milliseconds of all steps. */
  readonly stepMs: number;
  readonly preemptions: number;
  /** Tokens of prompts, and those of them that the cache had. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Tokens that were run before the next one could be drawn: of prompts, and of texts that were preempted. */
  readonly prefillTokens: number;
  readonly generatedTokens: number;
}

export interface BlockCounts {
  readonly capacity: number;
  /** Those that could be had now: empty ones, and kept ones that nobody uses. */
  readonly available: number;
  /** Kept for texts that begin like earlier ones, and those of them that nobody uses now. */
  readonly kept: number;
  readonly idle: number;
  /** Used by more than one sequence. */
  readonly shared: number;
}

/** One step of the engine. */
export interface StepRecord {
  /** Its number since the engine was made. */
  readonly step: number;
  /** Milliseconds that it took. */
  readonly ms: number;
  readonly parts: readonly StepPart[];
}

export interface StepPart {
  /** Of the sequence. */
  readonly id: number;
  readonly tokens: number;
  /** Whether these were tokens of the prompt, or of a text that is run again; otherwise the one drawn last. */
  readonly prefill: boolean;
  /** Tokens drawn after it: none before the prompt's end, one for each generation otherwise. */
  readonly drawn: number;
  /** When the request came (milliseconds of the engine's clock), if these are its first tokens. */
  readonly since: number | undefined;
}

export type SequenceState = "prefill" | "decode" | "paused" | "waiting" | "preempted";

/** A sequence as it stands between two steps. */
export interface SequenceReport {
  readonly id: number;
  readonly state: SequenceState;
  /** Tokens of the prompt, and those of them that the cache had when it began. */
  readonly prompt: number;
  readonly cached: number;
  readonly generated: number;
  /** Blocks that it holds. */
  readonly blocks: number;
}

export interface EngineLimits {
  readonly sequences: number;
  readonly stepTokens: number;
  /** Positions in a block of the cache. */
  readonly block: number;
}

export interface EngineSnapshot {
  /** Unix time in milliseconds. */
  readonly at: number;
  readonly limits: EngineLimits;
  readonly stats: EngineStats;
  /** Those that run, and the first of those that wait; `stats` has the numbers of all. */
  readonly sequences: readonly SequenceReport[];
  /**
   * The cache, a letter for each block that has been used so far: `.` empty, `-` kept and used by nobody, `1` to `9`
   * and `a` to `z` used by so many sequences (`z`: 35 or more).
   */
  readonly blocks: string;
}

/** What the steps since the frame before did, and how things stand now. */
export interface EngineFrame extends Omit<EngineSnapshot, "blocks" | "limits"> {
  /** Tokens that each sequence ran: prefilled and decoded. */
  readonly ran: readonly (readonly [id: number, prefill: number, decode: number])[];
  /** Times to first tokens and between tokens. */
  readonly first: Times;
  readonly between: Times;
  /** Absent when it has not changed. */
  readonly blocks?: string;
}

/** How many times lie around 2^(i/8) milliseconds, for each i that has any. */
export type Times = readonly (readonly [i: number, count: number])[];

/** Lets others look into an engine, here or in another process. */
export interface Monitor {
  /** Rejects while there is no engine to look into. */
  snapshot(): Promise<EngineSnapshot>;
  /** Tells of frames from now on, 20 a second at most, and none while nothing happens; until the given function is called. */
  watch(listener: (frame: EngineFrame) => void): () => void;
}
