/** Medians and spreads of a few measurements. */

/** Of an odd or even number of values. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Half the distance between the quartiles, relative to the median: what a repetition usually differs by. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q) => {
    const x = q * (sorted.length - 1);
    const low = Math.floor(x);
    return sorted[low] + (x - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  };
  return (at(0.75) - at(0.25)) / 2 / median(values);
}

export const summary = (values) => ({ median: median(values), spread: spread(values), all: values });
