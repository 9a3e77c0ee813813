/**
 * Which choices are tried for products, and which of them have won. Knows times only; must not run anything.
 *
 * Times are of interleaved rounds: in each, all candidates ran one after another. A candidate is compared with the
 * usual way of the same round, so that what slows a whole round down speaks for neither.
 */
import { type Choice, usual } from "../ops/index.ts";

/** A candidate changes one thing. */
const aheads = [512, 1024, 4096, 8192];
const panels = [1, 2, 4, 16, 32];
const steps = [512, 1024, 2048, 4096];
const tiles = [1, 2, 3];

/** What is worth trying for a product of so many tokens: one token has no tiles, and many read weights seldom. */
export const candidates = (tokens: number): readonly Choice[] => [
  ...(tokens <= 16 ? aheads.map((ahead) => ({ ...usual, ahead })) : []),
  ...panels.map((count) => ({ ...usual, panels: count })),
  ...(tokens > 1 ? steps.map((step) => ({ ...usual, step })) : []),
  ...(tokens > 1 ? tiles.map((which) => ({ ...usual, tiles: which })) : []),
];

/** Nanoseconds of each round, the usual way and a candidate's. */
export interface Rounds {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How much faster the candidate was: the median over rounds of before / after. */
export const gain = ({ before, after }: Rounds): number => median(after.map((time, i) => before[i]! / time));

/** A candidate must be faster by so much when it is found, and again when it is tried alone. */
const FOUND = 1.03;
const CONFIRMED = 1.02;
/** Fewer rounds tell nothing. */
const LEAST_ROUNDS = 5;
/** Where the usual way itself takes so much longer than its quickest round, something else was running. */
const STEADY = 1.15;

/** Faster by `least`, and in all rounds but one of eight, on a machine that was quiet. */
const clear = (rounds: Rounds, least: number): boolean => {
  const { before, after } = rounds;
  if (median(before) > STEADY * Math.min(...before)) return false;
  const wins = after.filter((time, i) => time < before[i]!).length;
  return (
    after.length >= LEAST_ROUNDS &&
    wins >= after.length - Math.floor(after.length / 8) &&
    gain(rounds) >= least
  );
};

/** Whether it is no use to go on with a candidate: after two rounds it has not won anything. */
export const hopeless = (rounds: Rounds): boolean => rounds.after.length >= 2 && gain(rounds) < 1;

/**
 * The best choice for one product: of each thing that can be chosen, the candidate that is clearly the fastest for
 * all numbers of tokens of the class. Undefined when the usual way is best. `tried` has, for each candidate, its
 * rounds with each of these numbers.
 */
export function best(
  tried: readonly { readonly choice: Choice; readonly rounds: readonly Rounds[] }[],
): Choice | undefined {
  let found: Choice | undefined;
  for (const name of Object.keys(usual) as (keyof Choice)[]) {
    let most = 0;
    for (const { choice, rounds } of tried) {
      if (choice[name] === usual[name] || !rounds.every((each) => clear(each, FOUND))) continue;
      const least = Math.min(...rounds.map(gain));
      if (least > most) [most, found] = [least, { ...(found ?? usual), [name]: choice[name] }];
    }
  }
  return found;
}

/** Whether a choice that was found has won again, for all numbers of tokens. */
export const confirmed = (rounds: readonly Rounds[]): boolean =>
  rounds.length > 0 && rounds.every((each) => clear(each, CONFIRMED));
