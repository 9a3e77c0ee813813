/** Inputs that every engine gets alike. */

/** Token ids without meaning; equal for all engines, different in every round. */
export const tokens = (count, seed, vocabulary) =>
  Array.from({ length: count }, (_, i) => (i * 7919 + seed * 104_729 + 11) % vocabulary);

/** Small numbers without meaning. */
export const small = (count, seed) =>
  Float32Array.from({ length: count }, (_, i) => ((i * 31 + seed) % 97) / 97);
