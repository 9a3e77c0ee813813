/** Many times as a few counts: each lies within 4.5 % of 2^(i/8) milliseconds for its i. */
import type { Times } from "./report.ts";

export function countTime(times: Map<number, number>, ms: number, more: number): void {
  const i = Math.round(8 * Math.log2(Math.max(ms, 0.001)));
  times.set(i, (times.get(i) ?? 0) + more);
}

/** The time, in milliseconds, that a share of all do not exceed; undefined without any. */
export function percentile(times: Times, share: number): number | undefined {
  const sorted = [...times].sort(([a], [b]) => a - b);
  let left = share * sorted.reduce((sum, [, count]) => sum + count, 0);
  for (const [i, count] of sorted) {
    left -= count;
    if (left <= 0) return 2 ** (i / 8);
  }
  return undefined;
}
