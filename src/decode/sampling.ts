/**
 * From one row of logits to one token: the options, what they may be, and the sampler that applies them.
 * It knows logits and token ids; it must not know models, devices or text. docs/decoding.md has the equations.
 */
import { ParameterError } from "../base/errors.ts";
import { Candidates } from "./candidates.ts";
import { expNonPositive } from "./exp.ts";
import { likeliest, type TokenLogprob } from "./logprobs.ts";
import { hasPenalties, penalize } from "./penalties.ts";
import { uniform } from "./random.ts";
import { LogitRow } from "./row.ts";

/** What a caller may ask for. Whatever is left out has the default given here. */
export interface SamplingOptions {
  /** Divides the logits. 0 is greedy: the largest logit, the lowest id among equals. ≥ 0; default 1. */
  readonly temperature?: number;
  /** Keeps the k most likely tokens. 0 is off; default 0. */
  readonly topK?: number;
  /** Keeps the smallest set of the most likely tokens with at least this probability. 0 to 1; default 1, off. */
  readonly topP?: number;
  /** Drops tokens less likely than this share of the most likely one. 0 to 1; default 0, off. */
  readonly minP?: number;
  /** Like topP, but of the tokens whose surprise is nearest to the entropy. Above 0, to 1; default 1, off. */
  readonly typicalP?: number;
  /** Divides positive and multiplies negative logits of tokens already present. > 0; default 1, off. */
  readonly repetitionPenalty?: number;
  /** How many of the last tokens, prompt included, repetitionPenalty looks at. ≥ 1; default all. */
  readonly repetitionWindow?: number;
  /** Subtracted from the logit of every token already generated. −2 to 2; default 0, off. */
  readonly presencePenalty?: number;
  /** Subtracted once for each time that the token was generated. −2 to 2; default 0, off. */
  readonly frequencyPenalty?: number;
  /** Added to the logits of these token ids. −100 to 100, or −Infinity to ban; default none. */
  readonly logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number>;
  /** The same seed gives the same tokens. A safe integer; by default a random one. */
  readonly seed?: number;
  /** Report the log-probability of the chosen token and this many alternatives. ≥ 0; default: no report. */
  readonly logprobs?: number;
}

/** Options that have been checked and completed. Plain data; one value can serve many sequences. */
export interface Sampling extends Required<Omit<SamplingOptions, "logitBias" | "logprobs">> {
  readonly logitBias: ReadonlyMap<number, number>;
  readonly logprobs: number | undefined;
}

/**
 * Checks and completes options. An undefined value counts as left out. A missing seed is drawn at random
 * and can be read from the result, so that a run can be repeated.
 *
 * @throws ParameterError naming the option that is unknown or cannot be used
 */
export function samplingFrom(options: SamplingOptions = {}): Sampling {
  const real = (name: NumberOption, range: string, accepts: (x: number) => boolean): number | undefined => {
    const value: unknown = options[name];
    if (value === undefined || (typeof value === "number" && accepts(value))) return value;
    throw new ParameterError(name, `must be ${range}, not ${shown(value)}`);
  };
  const integer = (name: NumberOption, range: string, least: number): number | undefined =>
    real(name, range, (x) => Number.isSafeInteger(x) && x >= least);

  const sampling: Sampling = {
    temperature: real("temperature", "a finite number from 0 (greedy)", (x) => x >= 0 && x < Infinity) ?? 1,
    topK: integer("topK", "an integer from 0 (off)", 0) ?? 0,
    topP: real("topP", "a number from 0 to 1 (off)", (x) => x >= 0 && x <= 1) ?? 1,
    minP: real("minP", "a number from 0 (off) to 1", (x) => x >= 0 && x <= 1) ?? 0,
    typicalP: real("typicalP", "a number above 0, to 1 (off)", (x) => x > 0 && x <= 1) ?? 1,
    repetitionPenalty:
      real("repetitionPenalty", "a finite number above 0 (1 is off)", (x) => x > 0 && x < Infinity) ?? 1,
    repetitionWindow: integer("repetitionWindow", "an integer from 1 (left out: all)", 1) ?? Infinity,
    presencePenalty:
      real("presencePenalty", "a number from -2 to 2 (0 is off)", (x) => Math.abs(x) <= 2) ?? 0,
    frequencyPenalty:
      real("frequencyPenalty", "a number from -2 to 2 (0 is off)", (x) => Math.abs(x) <= 2) ?? 0,
    logitBias: biasFrom(options.logitBias),
    seed: integer("seed", "an integer of at most 53 bits", Number.MIN_SAFE_INTEGER) ?? randomSeed(),
    logprobs: integer("logprobs", "an integer from 0", 0),
  };
  for (const name of Object.keys(options))
    if (!Object.hasOwn(sampling, name))
      throw new ParameterError(
        name,
        `no such sampling option; there are ${Object.keys(sampling).sort().join(", ")}`,
      );
  return sampling;
}

type NumberOption = Exclude<keyof SamplingOptions, "logitBias">;

/** The names that `samplingFrom` accepts, for callers that hold more options than these. */
export const SAMPLING_OPTIONS = Object.keys(samplingFrom()) as readonly (keyof SamplingOptions)[];

function biasFrom(given: SamplingOptions["logitBias"] = {}): ReadonlyMap<number, number> {
  const problem = (what: string): ParameterError => new ParameterError("logitBias", what);
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw problem(`must be an object or a Map from token ids to numbers, not ${shown(given)}`);
  const entries: readonly [unknown, unknown][] = given instanceof Map ? [...given] : Object.entries(given);
  const bias = new Map<number, number>();
  for (const [key, value] of entries) {
    const token = typeof key === "string" && /^\d+$/.test(key) ? Number(key) : key;
    if (typeof token !== "number" || !Number.isSafeInteger(token) || token < 0)
      throw problem(`${shown(key)} is not a token id`);
    if (typeof value !== "number" || !(value === -Infinity || Math.abs(value) <= 100))
      throw problem(`the bias of token ${token} must be from -100 to 100, or -Infinity, not ${shown(value)}`);
    bias.set(token, value);
  }
  return bias;
}

const shown = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : String(value));

/** 53 bits that nobody can foresee. */
function randomSeed(): number {
  const [a, b] = crypto.getRandomValues(new Uint32Array(2));
  return (a! >>> 11) * 2 ** 32 + b!;
}

/** What the next token may depend on, besides the logits. */
export interface SamplingContext {
  readonly prompt: ArrayLike<number>;
  readonly generated: ArrayLike<number>;
  /** Of the token to be chosen, in its sequence, from 0. Chooses the random number, with the seed. */
  readonly position: number;
  /** A bit for each token: whether it may be chosen; absent: all may. */
  readonly allowed?: Uint32Array;
}

export interface Choice {
  readonly token: number;
  /** Of the model's own distribution (see logprobs.ts). Present when `logprobs` was asked for. */
  readonly logprob?: number;
  /** The `logprobs` most likely tokens, best first; the chosen one is not always among them. */
  readonly top?: readonly TokenLogprob[];
}

/** Tokens that may be drawn, in order of id, and their probabilities. */
export interface Distribution {
  readonly tokens: Int32Array;
  readonly probabilities: Float64Array;
}

/**
 * Buffers for rows of one length. Nothing in them lives from one call to the next, so one workspace serves
 * every sampler of a model.
 */
export class SamplingWorkspace {
  readonly vocabulary: number;
  readonly row: LogitRow;
  readonly counts: Uint32Array;
  readonly candidates: Candidates;

  /** @param vocabulary the number of logits in a row */
  constructor(vocabulary: number) {
    this.vocabulary = vocabulary;
    this.row = new LogitRow(vocabulary);
    this.counts = new Uint32Array(vocabulary);
    this.candidates = new Candidates(vocabulary);
  }
}

/** Whether the draw is from all tokens. */
const isWhole = ({ topK, typicalP, topP, minP }: Sampling): boolean =>
  topK === 0 && typicalP === 1 && topP === 1 && minP === 0;

/**
 * The scales of the sums that draws need of a device that summarizes blocks of logits: for log-probabilities, and for
 * the draw; 0 where there is no need.
 */
export function sumsOf(sampling: Sampling): readonly [logprobs: number, draw: number] {
  const { temperature, logprobs, topK, typicalP, topP } = sampling;
  const draws = temperature > 0 && (isWhole(sampling) || (topP < 1 && topK === 0 && typicalP === 1));
  return [logprobs === undefined ? 0 : 1, draws ? Math.min(Math.max(1 / temperature, 1e-37), 1e38) : 0];
}

/** Chooses tokens: bias and penalties → grammar → temperature → top-k → typical → top-p → min-p → draw. */
export class Sampler {
  readonly #sampling: Sampling;
  readonly #workspace: SamplingWorkspace;
  readonly #penalties: boolean;

  /** @throws ParameterError when logitBias names a token outside of the vocabulary */
  constructor(sampling: Sampling, workspace: SamplingWorkspace) {
    for (const token of sampling.logitBias.keys())
      if (token >= workspace.vocabulary)
        throw new ParameterError(
          "logitBias",
          `token ${token} is outside of the vocabulary of ${workspace.vocabulary}`,
        );
    this.#sampling = sampling;
    this.#workspace = workspace;
    this.#penalties = hasPenalties(sampling);
  }

  /**
   * The next token. A pure function of its arguments and the sampling options.
   *
   * @param logits [vocabulary], not changed
   * @param summary what a device found out about their blocks, with the sums that `sumsOf` asks for
   * @throws FoveaError when the logits hold NaN or +∞, or leave nothing to choose from
   */
  next(logits: Float32Array, context: SamplingContext, summary?: Float32Array): Choice {
    const { temperature, logprobs } = this.#sampling;
    const { row, candidates } = this.#workspace;
    this.#penalize(logits, context, summary);
    const token = temperature === 0 ? row.top() : this.#draw(context.position);
    if (logprobs === undefined) return { token };
    row.set(logits, summary);
    const normalizer = row.logSumExp();
    const logprob = logits[token]! - normalizer;
    if (logprobs === 0) return { token, logprob, top: [] };
    row.fill(candidates, row.reached(logprobs));
    return { token, logprob, top: likeliest(candidates, logprobs, logits, normalizer) };
  }

  /** The distribution that `next` draws from: one token of probability 1 when greedy. */
  distribution(logits: Float32Array, context: SamplingContext): Distribution {
    this.#penalize(logits, context);
    if (this.#sampling.temperature === 0)
      return { tokens: Int32Array.of(this.#workspace.row.top()), probabilities: Float64Array.of(1) };
    const { count, ids, weights } = this.#truncated();
    const total = this.#workspace.candidates.totalWeight();
    return {
      tokens: ids.slice(0, count),
      probabilities: weights.slice(0, count).map((weight) => weight / total),
    };
  }

  #penalize(logits: Float32Array, context: SamplingContext, summary?: Float32Array): void {
    const { row, counts, vocabulary } = this.#workspace;
    if (logits.length !== vocabulary)
      throw new ParameterError("logits", `has ${logits.length} entries; the vocabulary has ${vocabulary}`);
    row.set(logits, summary);
    if (this.#penalties) penalize(row, this.#sampling, context, counts);
    if (context.allowed) row.mask(context.allowed);
    row.settle();
  }

  /** Inverse transform: the first token, in order of id, at which the cumulated weight passes the draw. */
  #draw(position: number): number {
    const share = uniform(this.#sampling.seed, position);
    if (isWhole(this.#sampling)) return this.#workspace.row.draw(this.#sampling.temperature, share);
    const candidates = this.#truncated();
    const { ids, weights, count } = candidates;
    const threshold = share * candidates.totalWeight();
    let cumulated = 0;
    for (let i = 0; i < count; i++) {
      cumulated += weights[i]!;
      if (cumulated > threshold) return ids[i]!;
    }
    return ids[count - 1]!; // the product above was rounded up to the total
  }

  /** The tokens left by every truncation, with weights e^((l − max) / temperature). */
  #truncated(): Candidates {
    const { temperature, topK, topP, minP, typicalP } = this.#sampling;
    const { candidates, row } = this.#workspace;
    const largest = row.at(row.top());
    // Where only top-p and min-p truncate, most tokens can be left out from the start: min-p drops what is
    // lighter than minP, and top-p what is lighter than the mean of what it leaves out, since tokens as light
    // as that cannot fill it. Half of that is clear of rounding. The total counts every token all the same.
    let total: number | undefined;
    let lightest = 0;
    if (topK === 0 && typicalP === 1) {
      lightest = minP;
      if (topP < 1) {
        total = row.total(largest, temperature, "draw");
        lightest = Math.max(minP, ((1 - topP) * total) / row.size);
      }
    }
    row.fill(candidates, topK > 0 ? row.reached(topK) : largest + temperature * Math.log(lightest / 2));
    // Temperature does not change the order, so the k best are found first and only they are exponentiated.
    if (topK > 0) candidates.keepTop(topK);
    const { keys, weights, count } = candidates;
    let vanished = false;
    for (let i = 0; i < count; i++) {
      const weight = expNonPositive((keys[i]! - largest) / temperature);
      weights[i] = weight;
      vanished ||= weight === 0;
    }
    if (vanished) candidates.keepHeavy(Number.MIN_VALUE); // never drawn, and its logarithm is useless
    if (typicalP < 1) keepTypical(candidates, row, largest, temperature, typicalP);
    // Holtzman et al., "The curious case of neural text degeneration", ICLR 2020, arXiv 1904.09751, section 3.1.
    if (topP < 1) candidates.keepMass(topP * (total ?? candidates.totalWeight()));
    if (minP > 0) candidates.keepHeavy(minP * candidates.heaviest());
    return candidates;
  }
}

/**
 * Locally typical sampling: orders tokens by how far their surprise −ln p is from the entropy H, nearest
 * first, and keeps the fewest that reach `mass`. Distances are compared in f32.
 *
 * Meister, Pimentel, Wiher, Cotterell, "Locally typical sampling", TACL 2023, arXiv 2202.00666, section 5.
 */
function keepTypical(
  candidates: Candidates,
  row: LogitRow,
  largest: number,
  temperature: number,
  mass: number,
): void {
  const { ids, keys, weights } = candidates;
  const total = candidates.totalWeight();
  const scaled = (i: number): number => (row.at(ids[i]!) - largest) / temperature;
  let mean = 0;
  for (let i = 0; i < candidates.count; i++) mean += weights[i]! * scaled(i);
  mean /= total;
  // −ln p − H = (ln total − x) − (ln total − mean x), so the normalizer cancels.
  for (let i = 0; i < candidates.count; i++) keys[i] = 0 - Math.abs(mean - scaled(i));
  candidates.keepMass(mass * total);
  for (let i = 0; i < candidates.count; i++) keys[i] = row.at(ids[i]!) + 0;
}
