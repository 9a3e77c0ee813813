/** Where the marks of an axis stand, and what they say. */

export interface Ticks {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  readonly labels: readonly string[];
}

/** Marks at 1, 2 or 5 times a power of ten, from the one below `low` to the one above `high`: about `count`. */
export function ticksOf(low: number, high: number, count: number): Ticks {
  const span = high - low > 0 ? high - low : Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = ([1, 2, 5, 10].find((factor) => factor * power * count >= span) ?? 10) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const largest = Math.max(...ticks.map(Math.abs));
  const [unit, letter] = largest >= 1e6 ? [1e6, " M"] : largest >= 1e4 ? [1e3, " k"] : [1, ""];
  const shown = unit === 1 ? digits : Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9));
  const labels = ticks.map((tick) => (tick === 0 ? "0" : `${(tick / unit).toFixed(shown)}${letter}`));
  return { low: first * step, high: last * step, ticks, labels };
}
