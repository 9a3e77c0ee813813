/** How far a quantized model's outputs are from those of the same model in f32. Knows numbers only. */

/**
 * Cosine of the whole outputs, and the root of the mean squared error over that of the exact values.
 *
 * @param {ArrayLike<number>} values
 * @param {ArrayLike<number>} exact
 */
export function quality(values, exact) {
  let [product, ours, theirs, errors] = [0, 0, 0, 0];
  for (let i = 0; i < exact.length; i++) {
    product += values[i] * exact[i];
    ours += values[i] ** 2;
    theirs += exact[i] ** 2;
    errors += (values[i] - exact[i]) ** 2;
  }
  return { cosine: product / Math.sqrt(ours * theirs), relativeError: Math.sqrt(errors / theirs) };
}
