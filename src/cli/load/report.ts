/** What the requests of a load test took, in one object and as text. Knows percentiles; must not know the wire. */
import { showRate, table } from "../show.ts";
import type { Outcome } from "./request.ts";

/** Milliseconds; null when there is nothing to count. */
export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface LoadReport {
  readonly url: string;
  readonly model: string;
  readonly endpoint: "chat" | "completions";
  readonly arrivals: { readonly clients: number } | { readonly rate: number };
  readonly requests: number;
  readonly answered: number;
  readonly failed: number;
  /** How often each failure occurred. */
  readonly errors: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly requests_per_second: number;
  /** Written by the server, in answers that were complete. */
  readonly tokens: number;
  readonly tokens_per_second: number;
  readonly prompt_tokens: number | null;
  readonly first_token_ms: Spread | null;
  readonly between_tokens_ms: Spread | null;
  readonly request_ms: Spread | null;
}

export function reportOf(
  outcomes: readonly Outcome[],
  seconds: number,
  facts: Pick<LoadReport, "url" | "model" | "endpoint" | "arrivals">,
): LoadReport {
  const answered = outcomes.filter(({ error }) => error === undefined);
  const errors: Record<string, number> = {};
  for (const { error } of outcomes) if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1;
  const sum = (of: (outcome: Outcome) => number): number => answered.reduce((all, one) => all + of(one), 0);
  const tokens = sum((outcome) => outcome.tokens);
  const counted = answered.some(({ promptTokens }) => promptTokens !== undefined);
  return {
    ...facts,
    requests: outcomes.length,
    answered: answered.length,
    failed: outcomes.length - answered.length,
    errors,
    seconds,
    requests_per_second: answered.length / seconds,
    tokens,
    tokens_per_second: tokens / seconds,
    prompt_tokens: counted ? sum(({ promptTokens = 0 }) => promptTokens) : null,
    first_token_ms: spread(
      answered.flatMap(({ firstToken }) => (firstToken === undefined ? [] : [firstToken])),
    ),
    between_tokens_ms: spread(answered.flatMap(({ gaps }) => gaps)),
    request_ms: spread(answered.map(({ total }) => total)),
  };
}

/** Percentiles by the nearest rank: each is a value that occurred. */
export function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  return {
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: at(1),
  };
}

export function reportText(report: LoadReport): string {
  const { arrivals, errors } = report;
  const times = (name: string, values: Spread | null): string[] =>
    values === null
      ? [name, "-", "-", "-", "-", "-"]
      : [
          name,
          ...[values.mean, values.p50, values.p90, values.p99, values.max].map((ms) =>
            ms.toFixed(ms < 10 ? 2 : 1),
          ),
        ];
  const load = "clients" in arrivals ? `${arrivals.clients} clients` : `${arrivals.rate} requests/s`;
  const prompt = report.prompt_tokens === null ? "" : `, ${report.prompt_tokens} of prompts`;
  return [
    table([
      ["server", report.url, `${report.model}, ${report.endpoint}`],
      [
        "requests",
        `${report.answered} answered, ${report.failed} failed`,
        `${load}, ${report.seconds.toFixed(1)} s, ${showRate(report.requests_per_second)}/s`,
      ],
      ["tokens", `${showRate(report.tokens_per_second)} tokens/s`, `${report.tokens} written${prompt}`],
    ]),
    table(
      [
        ["ms", "mean", "p50", "p90", "p99", "max"],
        times("first token", report.first_token_ms),
        times("between tokens", report.between_tokens_ms),
        times("request", report.request_ms),
      ],
      [1, 2, 3, 4, 5],
    ),
    ...(report.failed > 0
      ? [
          table(
            Object.entries(errors).map(([error, count]) => [`${count} ×`, error]),
            [0],
          ),
        ]
      : []),
  ].join("\n");
}
