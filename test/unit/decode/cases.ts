/** Seeded rows of logits and plain definitions to compare with: full sorts, no cleverness. */
import { uniform } from "../../../src/decode/random.ts";
import type { Sampling } from "../../../src/decode/sampling.ts";

/** A stream of uniform numbers, independent for each name. */
export function stream(name: number): () => number {
  let at = 0;
  return () => uniform(name, at++, 7);
}

/** A row like a model's: normal logits, sometimes coarse (many ties), sometimes with −∞ or a few peaks. */
export function randomRow(random: () => number, size: number): Float32Array {
  const spread = 0.5 + 6 * random();
  const coarse = random() < 0.3;
  const banned = random() < 0.3 ? 0.2 : 0;
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const row = Float32Array.from({ length: size }, () => {
    if (random() < banned) return -Infinity;
    const logit = spread * normal();
    return coarse ? Math.round(logit) : logit;
  });
  if (random() < 0.3) row[Math.floor(random() * size)] = 30;
  if (random() < 0.1) row.fill(random() < 0.5 ? -0 : 2.5);
  if (row.every((logit) => logit === -Infinity)) row[0] = 0;
  return row;
}

export interface Entry {
  token: number;
  logit: number;
  p: number;
}

const normalized = (entries: readonly Entry[]): Entry[] => {
  const total = entries.reduce((sum, { p }) => sum + p, 0);
  return entries.map((entry) => ({ ...entry, p: entry.p / total }));
};

/** The fewest first entries that reach the mass; a hair of slack, as the sums are taken in another order. */
function prefix(sorted: readonly Entry[], mass: number): Entry[] {
  let sum = 0;
  let end = 0;
  while (end < sorted.length && (end === 0 || sum < mass - 1e-12)) sum += sorted[end++]!.p;
  return sorted.slice(0, end);
}

/** Temperature → top-k → typical → top-p → min-p by the definitions, in order of token. */
export function naiveDistribution(
  row: ArrayLike<number>,
  sampling: Pick<Sampling, "temperature" | "topK" | "topP" | "minP" | "typicalP">,
): Entry[] {
  const { temperature, topK, topP, minP, typicalP } = sampling;
  const largest = Math.max(...Array.from(row));
  const likelyFirst = (a: Entry, b: Entry): number => b.logit - a.logit || a.token - b.token;
  let entries = normalized(
    Array.from(row, (logit, token) => ({
      token,
      logit,
      p: Math.exp((logit - largest) / temperature),
    })).filter(({ p }) => p > 0),
  ).sort(likelyFirst);
  if (topK > 0) entries = normalized(entries.slice(0, topK));
  if (typicalP < 1) {
    const entropy = -entries.reduce((sum, { p }) => sum + p * Math.log(p), 0);
    const distance = ({ p }: Entry): number => Math.abs(-Math.log(p) - entropy);
    entries = normalized(
      prefix(
        entries.slice().sort((a, b) => distance(a) - distance(b)),
        typicalP,
      ),
    );
    entries.sort(likelyFirst);
  }
  if (topP < 1) entries = normalized(prefix(entries, topP));
  if (minP > 0) {
    const most = Math.max(...entries.map(({ p }) => p));
    entries = normalized(entries.filter(({ p }) => p >= minP * most));
  }
  return entries.sort((a, b) => a.token - b.token);
}
