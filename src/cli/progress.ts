/** A bar on one line of a terminal, for work that takes long enough to be noticed. */
import type { Output } from "./io.ts";

export interface Progress {
  update(done: number, total: number, note?: string): void;
  /** Takes the bar away. */
  end(): void;
}

const firstMs = 300;
const everyMs = 100;
const barWidth = 24;

/**
 * Writes to a terminal only, not before 300 ms have passed, and at most ten times a second.
 *
 * @param show how amounts are written
 */
export function progress(output: Output, label: string, show: (amount: number) => string): Progress {
  const started = performance.now();
  let last = started + firstMs - everyMs;
  let drawn = false;
  return {
    update(done, total, note = "") {
      const now = performance.now();
      if (!output.isTTY || now - last < everyMs) return;
      last = now;
      drawn = true;
      const share = total > 0 ? Math.min(1, done / total) : 0;
      const filled = Math.round(share * barWidth);
      const seconds = (now - started) / 1000;
      const line =
        `${label} ${"█".repeat(filled)}${"░".repeat(barWidth - filled)} ${Math.floor(share * 100)}% ` +
        `${show(done)} of ${show(total)}, ${show(done / seconds)}/s ${note}`;
      // Return, the line cut to the terminal's width, and erase to the end.
      output.write(`\r${line.slice(0, (output.columns ?? 80) - 1)}\x1b[K`);
    },
    end() {
      if (drawn) output.write("\r\x1b[K");
      drawn = false;
    },
  };
}
