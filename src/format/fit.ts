/**
 * Finds the scale (and minimum) of a small block of numbers that leaves the least squared error.
 * Knows the code range only; the layouts of blocks are their formats' affair.
 *
 * Both searches try a row of candidate scales. For the integer codes that a candidate gives, the best scale
 * (and minimum) has a closed form, and so has its error, from sums over the block: one pass per candidate.
 */

/** By how many codes a candidate moves the end of the range. */
const scaleShifts = [-0.9, -0.6, -0.3, 0, 0.3, 0.6, 0.9];
const rangeShifts = [-0.8, -0.4, 0, 0.4, 0.8];

/**
 * Scale `s` for x ≈ s·l with codes l in [-half, half-1], over `n` elements from `x[at]`.
 * The candidates put the value of largest magnitude at codes around `-half`, the end that reaches further.
 * Returns 0 for a block of zeros and NaN for one that is not finite.
 */
export function fitScale(x: Float32Array, at: number, n: number, half: number): number {
  let extreme = 0;
  let reach = 0;
  let finite = 0;
  for (let i = at; i < at + n; i++) {
    const v = x[i] as number;
    const a = v < 0 ? -v : v;
    finite += v - v;
    if (a > reach) {
      reach = a;
      extreme = v;
    }
  }
  if (finite !== 0) return NaN;
  if (reach === 0) return 0;
  const top = 2 * half - 1;
  let best = 0;
  let scale = extreme / -half;
  for (const shift of scaleShifts) {
    const inverse = -(half + shift) / extreme;
    if (!Number.isFinite(inverse)) break;
    let xl = 0;
    let ll = 0;
    for (let i = at; i < at + n; i++) {
      const v = x[i] as number;
      let code = (v * inverse + half + 0.5) | 0;
      code = code < 0 ? 0 : code > top ? top : code;
      const l = code - half;
      xl += v * l;
      ll += l * l;
    }
    // The error is sum(x²) - xl²/ll, so the largest quotient wins.
    if (ll > 0 && xl * xl > best * ll) {
      best = (xl * xl) / ll;
      scale = xl / ll;
    }
  }
  return scale;
}

/**
 * Scale and minimum for x ≈ s·l + m with codes l in [0, top], over `n` elements from `x[at]`.
 * With `nonPositive`, m is kept at or below zero. Writes s to `out[0]`, m to `out[1]`; NaN in a block that is
 * not finite.
 */
export function fitAffine(
  x: Float32Array,
  at: number,
  n: number,
  top: number,
  nonPositive: boolean,
  out: Float64Array,
): void {
  let low = x[at] as number;
  let high = low;
  let sumX = 0;
  let sumXX = 0;
  let finite = 0;
  for (let i = at; i < at + n; i++) {
    const v = x[i] as number;
    finite += v - v;
    if (v < low) low = v;
    if (v > high) high = v;
    sumX += v;
    sumXX += v * v;
  }
  if (finite !== 0) {
    out[0] = NaN;
    out[1] = NaN;
    return;
  }
  if (nonPositive && low > 0) low = 0;
  const range = high - low;
  out[0] = range > 0 ? range / top : 0;
  out[1] = low;
  if (!(range > 0)) return;

  // The first candidates spread the codes over about the whole range; then the codes are rounded anew from the
  // best fit so far (the two half-steps of k-means), until that gains nothing.
  let best = Infinity;
  for (let turn = 0; turn < rangeShifts.length + 3; turn++) {
    const shift = rangeShifts[turn];
    const anew = shift === undefined;
    const inverse = anew ? 1 / (out[0] as number) : (top + shift) / range;
    const from = anew ? (out[1] as number) : low;
    if (!Number.isFinite(inverse)) break;
    let sumL = 0;
    let sumLL = 0;
    let sumXL = 0;
    for (let i = at; i < at + n; i++) {
      const v = x[i] as number;
      let l = ((v - from) * inverse + 0.5) | 0;
      l = l < 0 ? 0 : l > top ? top : l;
      sumL += l;
      sumLL += l * l;
      sumXL += v * l;
    }
    const determinant = n * sumLL - sumL * sumL;
    if (determinant <= 0) continue;
    let scale = (n * sumXL - sumX * sumL) / determinant;
    let min = (sumLL * sumX - sumL * sumXL) / determinant;
    if (nonPositive && min > 0) {
      min = 0;
      scale = sumXL / sumLL;
    }
    const error =
      sumXX + scale * scale * sumLL + n * min * min + 2 * (scale * min * sumL - scale * sumXL - min * sumX);
    if (error < best && scale > 0) {
      best = error;
      out[0] = scale;
      out[1] = min;
    } else if (anew) break;
  }
}
