/**
 * Log-probabilities of the model's own distribution, softmax(logits): before penalties, bias, temperature
 * and truncation. This is what vLLM reports by default (`logprobs_mode="raw_logprobs"`), and the shape is
 * that of OpenAI's `logprobs` and `top_logprobs`. It knows rows of logits, not sampling.
 *
 * Rows are f32, sums are f64, results are natural logarithms.
 */
import { FoveaError, ParameterError } from "../base/errors.ts";
import { Candidates } from "./candidates.ts";
import { expNonPositive } from "./exp.ts";

export interface TokenLogprob {
  readonly token: number;
  /** Natural logarithm. */
  readonly logprob: number;
}

/**
 * The lowest id among the largest logits.
 *
 * @throws FoveaError when the row is no distribution: NaN or +∞ in it, or nothing but −∞
 */
export function argmax(row: Float32Array): number {
  let token = -1;
  let best = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; ) {
    // Eight at a time where none of them is better, as is nearly always so. False for NaN, and behind the end.
    while (
      row[i]! <= best &&
      row[i + 1]! <= best &&
      row[i + 2]! <= best &&
      row[i + 3]! <= best &&
      row[i + 4]! <= best &&
      row[i + 5]! <= best &&
      row[i + 6]! <= best &&
      row[i + 7]! <= best
    )
      i += 8;
    for (const end = Math.min(i + 8, row.length); i < end; i++) {
      const logit = row[i]!;
      if (logit <= best) continue; // false for NaN too, so one comparison serves both
      if (Number.isNaN(logit)) throw notANumber(row.length, "NaN", i);
      best = logit;
      token = i;
    }
  }
  if (best === Number.POSITIVE_INFINITY) throw notANumber(row.length, "+Infinity", token);
  if (token < 0) throw noToken(row.length);
  return token;
}

export const noToken = (size: number): FoveaError =>
  new FoveaError(
    `no token can be chosen: all ${size} logits are -Infinity; the model produced none, or logitBias bans every token`,
  );

export const notANumber = (size: number, what: string, token: number): FoveaError =>
  new FoveaError(
    `the model produced ${what} as the logit of token ${token} (of ${size}): a weight is damaged, or a number overflowed on the way; compare with the reference device`,
  );

/** ln Σ e^logit, computed around the maximum. */
export function logSumExp(row: Float32Array): number {
  const largest = row[argmax(row)]!;
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += expNonPositive(row[i]! - largest);
  return largest + Math.log(sum);
}

/** The log-probability of one token. */
export function logprobOf(row: Float32Array, token: number): number {
  return row[checked(token, row.length)]! - logSumExp(row);
}

/**
 * The `n` most likely tokens, most likely first, equal ones by id; fewer where fewer are possible.
 *
 * @param scratch room for the row, for callers that do this for every token
 * @param normalizer `logSumExp(row)`, where it is known
 */
export function topLogprobs(
  row: Float32Array,
  n: number,
  scratch: Candidates = new Candidates(row.length),
  normalizer: number = logSumExp(row),
): TokenLogprob[] {
  if (n === 0) return [];
  scratch.count = 0;
  scratch.add(row, 0, row.length, Number.NEGATIVE_INFINITY);
  return likeliest(scratch, n, row, normalizer);
}

/** The `n` best of the candidates, as `topLogprobs`. */
export function likeliest(
  candidates: Candidates,
  n: number,
  row: Float32Array,
  normalizer: number,
): TokenLogprob[] {
  candidates.keepTop(n);
  return Array.from(candidates.ids.subarray(0, candidates.count), (token) => ({
    token,
    logprob: row[token]! - normalizer,
  })).sort((a, b) => b.logprob - a.logprob || a.token - b.token);
}

/**
 * Negative log-likelihood of each target, in nats. Perplexity is e to the mean of these.
 *
 * @param rows logits [targets.length, vocabulary], row-major; row i predicts target i
 */
export function nll(rows: Float32Array, targets: ArrayLike<number>): Float64Array {
  const vocabulary = targets.length === 0 ? 0 : rows.length / targets.length;
  if (!Number.isInteger(vocabulary) || (targets.length === 0 && rows.length > 0))
    throw new ParameterError(
      "targets",
      `${rows.length} logits are not one row for each of ${targets.length} targets`,
    );
  return Float64Array.from(
    targets,
    (token, i) => -logprobOf(rows.subarray(i * vocabulary, (i + 1) * vocabulary), token),
  );
}

function checked(token: number, vocabulary: number): number {
  if (Number.isInteger(token) && token >= 0 && token < vocabulary) return token;
  throw new ParameterError("token", `${token} is not an id in a vocabulary of ${vocabulary}`);
}
