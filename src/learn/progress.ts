/** One line on a terminal that tells how a training goes. Knows text; must not know where it is shown. */

/** Where lines go. */
export interface Screen {
  /** Replaces the line that changes. */
  update(text: string): void;
  /** Writes a line that stays. */
  line(text: string): void;
  /** Takes the line that changes away. */
  end(): void;
}

export interface Progress {
  readonly step: number;
  /** Infinity: no end is set. */
  readonly end: number;
  readonly loss: number;
  readonly tokensPerSecond: number;
  readonly gigaflops: number;
  readonly secondsLeft: number;
}

export function showProgress(screen: Screen, progress: Progress): void {
  screen.update(progressText(progress));
}

export function progressText({ step, end, loss, tokensPerSecond, gigaflops, secondsLeft }: Progress): string {
  const parts = [
    `step ${step}${Number.isFinite(end) ? ` of ${end}` : ""}`,
    `loss ${loss.toFixed(4)}`,
    `${tokensPerSecond.toFixed(0)} tokens/s`,
    `${gigaflops.toFixed(gigaflops < 10 ? 1 : 0)} GFLOP/s`,
  ];
  if (Number.isFinite(secondsLeft)) parts.push(`${duration(secondsLeft)} left`);
  return parts.join(" · ");
}

/** 42 s, 3 min 20 s, 2 h 5 min */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** A terminal gets a line that changes, at most five times a second; a file gets one line a minute. */
export function screenOn(output: Terminal): Screen {
  let last = Number.NEGATIVE_INFINITY;
  let drawn = false;
  const clear = (): void => {
    if (drawn) output.write("\r\x1b[K");
    drawn = false;
  };
  return {
    update(text) {
      const now = performance.now();
      if (now - last < (output.isTTY ? 200 : 60_000)) return;
      last = now;
      if (!output.isTTY) output.write(`${text}\n`);
      else output.write(`\r${text.slice(0, (output.columns ?? 80) - 1)}\x1b[K`);
      drawn = output.isTTY === true;
    },
    line(text) {
      clear();
      output.write(`${text}\n`);
    },
    end: clear,
  };
}
