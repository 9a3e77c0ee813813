/** Times of products, by number of tokens and candidate, round by round. Knows times; must not know who measures them. */
import { type Choice, type Product, type TimedProduct, usual } from "../ops/index.ts";
import type { Rounds } from "./tune-decide.ts";

export const nameOf = (product: Product): string => JSON.stringify(product);

export class TimeBook {
  private readonly entries = new Map<string, { product: Product; times: Map<string, number[]> }>();

  get products(): Product[] {
    return [...this.entries.values()].map(({ product }) => product);
  }

  /** Adds a round: the mean time of each product. */
  add(tokens: number, choice: Choice, times: readonly TimedProduct[]): void {
    const sums = new Map<string, { product: Product; total: number; count: number }>();
    for (const { product, nanoseconds } of times) {
      const { total = 0, count = 0 } = sums.get(nameOf(product)) ?? {};
      sums.set(nameOf(product), { product, total: total + nanoseconds, count: count + 1 });
    }
    for (const [name, { product, total, count }] of sums) {
      const entry = this.entries.get(name) ?? { product, times: new Map<string, number[]>() };
      this.entries.set(name, entry);
      const key = keyOf(tokens, choice);
      entry.times.set(key, [...(entry.times.get(key) ?? []), total / count]);
    }
  }

  times(product: Product, tokens: number, choice: Choice): readonly number[] {
    return this.entries.get(nameOf(product))?.times.get(keyOf(tokens, choice)) ?? [];
  }

  rounds(product: Product, tokens: number, choice: Choice): Rounds {
    return { before: this.times(product, tokens, usual), after: this.times(product, tokens, choice) };
  }
}

const keyOf = (tokens: number, choice: Choice): string => `${tokens} ${JSON.stringify(choice)}`;
