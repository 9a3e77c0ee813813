/**
 * How long a request takes, from a few that were timed. Knows times and counts of tokens; must not know who took
 * them.
 *
 * The model of Narayanan et al. 2023 ("Cheaply estimating inference efficiency metrics for autoregressive transformer
 * models", section 3): `T(p, o) = F(p) + g·(o − 1)`, with p tokens of prompt, o of output, F the time to the first
 * token, as a table, and one g for all p. On a processor a further token takes longer the more there is to attend to,
 * so there is a second form: `T(p, o) = F(p) + g₀·(o − 1) + g₁·Σ_(t = 1 … o − 1) (p + t)`.
 */
import { ParameterError } from "../base/errors.ts";

/** Milliseconds until the o-th token of a request. */
export interface Timed {
  readonly prompt: number;
  readonly output: number;
  readonly ms: number;
}

/** A line through the times beyond the first token, and how well it lies. */
export interface Fit {
  /** Milliseconds of a further token. */
  readonly perToken: number;
  /** Milliseconds more for each token that it attends to; 0 in the published form. */
  readonly perContext: number;
  /** 1 − residual / total variance, of all points together. */
  readonly r2: number;
  /** Milliseconds squared. */
  readonly meanSquaredError: number;
  /** Milliseconds. */
  readonly largestError: number;
}

export interface RuntimeModel {
  /** F, by rising p. */
  readonly firstToken: readonly { readonly prompt: number; readonly ms: number }[];
  /** The published form. */
  readonly linear: Fit;
  /** With growing attention. */
  readonly extended: Fit;
}

/** Prompts up to this many times the longest that was timed are priced, and marked; beyond is a guess. */
const REACH = 2;

/** Needs, for each length of prompt, the time to the first token, and at least two lengths of output. */
export function fitRuntime(times: readonly Timed[]): RuntimeModel {
  const firstToken = times
    .filter(({ output }) => output === 1)
    .map(({ prompt, ms }) => ({ prompt, ms }))
    .sort((a, b) => a.prompt - b.prompt);
  const first = new Map(firstToken.map(({ prompt, ms }) => [prompt, ms]));
  const rows = times
    .filter(({ output }) => output > 1)
    .map(({ prompt, output, ms }) => {
      const before = first.get(prompt);
      if (before === undefined)
        throw new ParameterError("times", `there is none of the first token after ${prompt} tokens`);
      return { steps: output - 1, context: contextSum(prompt, output), y: ms - before };
    });
  if (rows.length < 2)
    throw new ParameterError("times", `${rows.length} of further tokens: at least 2 are needed`);
  const sum = (of: (row: (typeof rows)[number]) => number): number =>
    rows.reduce((all, row) => all + of(row), 0);
  const [ss, sc, cc] = [
    sum((r) => r.steps ** 2),
    sum((r) => r.steps * r.context),
    sum((r) => r.context ** 2),
  ];
  const [sy, cy] = [sum((r) => r.steps * r.y), sum((r) => r.context * r.y)];
  const mean = sum((r) => r.y) / rows.length;
  const total = sum((r) => (r.y - mean) ** 2);
  const line = (perToken: number, perContext: number): Fit => {
    const errors = rows.map((r) => r.y - perToken * r.steps - perContext * r.context);
    const squares = errors.reduce((all, error) => all + error ** 2, 0);
    return {
      perToken,
      perContext,
      r2: total > 0 ? 1 - squares / total : 1,
      meanSquaredError: squares / rows.length,
      largestError: Math.max(...errors.map(Math.abs)),
    };
  };
  const determinant = ss * cc - sc * sc;
  // Points of one p and one o tell the two apart as little as rounding does.
  const apart = determinant > 1e-12 * ss * cc;
  return {
    firstToken,
    linear: line(sy / ss, 0),
    extended: apart
      ? line((sy * cc - cy * sc) / determinant, (cy * ss - sy * sc) / determinant)
      : line(sy / ss, 0),
  };
}

/** Tokens that those after the first attend to, summed: `Σ_(t = 1 … o − 1) (p + t)`. */
const contextSum = (prompt: number, output: number): number =>
  (output - 1) * prompt + ((output - 1) * output) / 2;

export interface Price {
  readonly firstTokenMs: number;
  readonly totalMs: number;
  /** The prompt is longer, or shorter, than all that were timed. */
  readonly extrapolated: boolean;
}

/** @param form which of the two; default: with growing attention */
export function priceRequest(
  model: RuntimeModel,
  prompt: number,
  output: number,
  form: "linear" | "extended" = "extended",
): Price {
  if (!Number.isSafeInteger(prompt) || prompt < 1)
    throw new ParameterError("promptTokens", `must be a whole number from 1, not ${prompt}`);
  if (!Number.isSafeInteger(output) || output < 1)
    throw new ParameterError("genTokens", `must be a whole number from 1, not ${output}`);
  const { firstToken } = model;
  const longest = firstToken.at(-1)!.prompt;
  if (prompt > REACH * longest)
    throw new ParameterError(
      "promptTokens",
      `${prompt} is more than ${REACH} times the longest that was timed, ${longest}; time longer ones`,
    );
  const { perToken, perContext } = model[form];
  const firstTokenMs = interpolate(firstToken, prompt);
  return {
    firstTokenMs,
    totalMs: firstTokenMs + perToken * (output - 1) + perContext * contextSum(prompt, output),
    extrapolated: prompt > longest || prompt < firstToken[0]!.prompt,
  };
}

/** Between neighbours along a line; beyond them along the last one. */
function interpolate(table: RuntimeModel["firstToken"], prompt: number): number {
  if (table.length === 1) return table[0]!.ms;
  const above = table.findIndex((entry) => entry.prompt >= prompt);
  const i = above < 0 ? table.length - 1 : Math.max(1, above);
  const [a, b] = [table[i - 1]!, table[i]!];
  return a.ms + ((b.ms - a.ms) * (prompt - a.prompt)) / (b.prompt - a.prompt);
}
