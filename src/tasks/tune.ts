/**
 * Measures how the products of a model are run best on its device, and keeps what wins clearly. Products are timed
 * where they are, in steps of the whole model: with the weights of all layers, between their neighbours.
 */
import { FoveaError } from "../base/errors.ts";
import {
  type Choice,
  type Product,
  type TimedProduct,
  type TunedProduct,
  type Tuner,
  usual,
} from "../ops/index.ts";
import { LoadedLanguageModel } from "./language-model.ts";
import { best, candidates, confirmed, hopeless, median, type Rounds } from "./tune-decide.ts";
import type { LanguageModel } from "./types.ts";

/** For each class of rows, the fewest and the most that are measured. */
const classes: readonly (readonly number[])[] = [[1], [2], [3, 4], [5, 8], [9, 16], [24, 64], [130, 256]];

/** Rounds of the search, and of the trial of what was found. */
const ROUNDS = 7;
const TRIALS = 9;
/** Milliseconds that one measurement takes at least: threads and clocks need some to settle. */
const LEAST = 4;
/** Products whose times fit one measurement. */
const ROOM = 1 << 16;

export interface TuneOptions {
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** How one product fared. */
export interface TuneResult {
  readonly product: Product;
  /** What was found; undefined: nothing beat the usual way. */
  readonly choice: Choice | undefined;
  /** Whether it won its trial too. */
  readonly kept: boolean;
  /** Nanoseconds with `tokens` tokens, medians: the usual way, and the choice. */
  readonly before: number;
  readonly after: number;
  readonly tokens: number;
}

type Choices = readonly { readonly product: Product; readonly choice: Choice }[];

const nameOf = (product: Product): string => JSON.stringify(product);

/** Times of products, by number of tokens and candidate, round by round. */
class Book {
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

/** @throws FoveaError when the model's device has nothing to tune */
export async function tune(
  model: LanguageModel,
  { onProgress, signal }: TuneOptions = {},
): Promise<readonly TuneResult[]> {
  const tuner = model instanceof LoadedLanguageModel ? model.device.tuner : undefined;
  if (!tuner) throw new FoveaError(`${model.describe().device}: only the native device can be tuned`);
  const session = new Session(model, tuner, signal);
  const results: TuneResult[] = [];
  try {
    const fitting = classes.filter((counts) => counts.at(-1)! < model.contextLength);
    for (const [i, counts] of fitting.entries()) {
      onProgress?.(i, fitting.length);
      // A head that sees one token only comes back with each class.
      const known = new Set(results.map(({ product }) => nameOf(product)));
      results.push(...(await session.tune(counts, known)));
    }
  } finally {
    await session.end();
  }
  const fresh = results.flatMap(({ product, choice, kept, tokens, before, after }): TunedProduct[] =>
    kept && choice ? [{ product, choice, tokens, before, after }] : [],
  );
  const measured = new Set(results.map(({ product }) => nameOf(product)));
  tuner.keep([...tuner.kept.filter(({ product }) => !measured.has(nameOf(product))), ...fresh]);
  return results;
}

class Session {
  private readonly model: LanguageModel;
  private readonly tuner: Tuner;
  private readonly signal: AbortSignal | undefined;

  constructor(model: LanguageModel, tuner: Tuner, signal: AbortSignal | undefined) {
    this.model = model;
    this.tuner = tuner;
    this.signal = signal;
  }

  /** One class of rows: a search with each number of tokens, then a trial of what was found. */
  async tune(counts: readonly number[], known: ReadonlySet<string>): Promise<TuneResult[]> {
    const tokens = counts.at(-1)!;
    const [search, trial] = [new Book(), new Book()];
    const all = candidates(tokens);
    for (const count of counts) await this.search(count, all, search);
    const found = search.products.flatMap((product) => {
      // Of classes that were measured before, or not with each number of tokens, nothing is said.
      const partly = counts.some((count) => search.times(product, count, usual).length === 0);
      if (known.has(nameOf(product)) || partly) return [];
      const tried = all.map((choice) => ({
        choice,
        rounds: counts.map((count) => search.rounds(product, count, choice)),
      }));
      return [{ product, choice: best(tried) }];
    });
    const chosen = found.flatMap(({ product, choice }) => (choice ? [{ product, choice }] : []));
    if (chosen.length > 0) for (const count of counts) await this.trial(count, chosen, trial);
    return found.map(({ product, choice }): TuneResult => {
      const book = choice ? trial : search;
      const before = median(book.times(product, tokens, usual));
      const after = choice ? median(book.times(product, tokens, choice)) : before;
      const kept =
        choice !== undefined && confirmed(counts.map((count) => trial.rounds(product, count, choice)));
      return { product, choice, kept, before, after, tokens };
    });
  }

  async end(): Promise<void> {
    await this.idle(() => {
      this.tuner.note(0);
      this.tuner.choose(this.tuner.kept);
    });
  }

  /** Rounds of all candidates over a step of so many tokens; those without hope are left out of the later ones. */
  private async search(tokens: number, all: readonly Choice[], book: Book): Promise<void> {
    const repeats = await this.repeats(tokens);
    const known = new Map(
      (await this.measure(tokens, 1, [])).map(({ product }) => [nameOf(product), product]),
    );
    const products = [...known.values()];
    let left = all;
    for (let round = 0; round < ROUNDS; round++) {
      const order = [usual, ...left];
      // Nobody is always the first.
      for (const [i] of order.entries()) {
        const choice = order[(i + round) % order.length]!;
        const choices = products.map((product) => ({ product, choice }));
        book.add(tokens, choice, await this.measure(tokens, repeats, choices));
      }
      left = left.filter((choice) =>
        products.some((product) => !hopeless(book.rounds(product, tokens, choice))),
      );
    }
  }

  /** The usual way and what was found, in turns. */
  private async trial(tokens: number, chosen: Choices, book: Book): Promise<void> {
    const repeats = await this.repeats(tokens);
    const choiceOf = new Map(chosen.map(({ product, choice }) => [nameOf(product), choice]));
    for (let turn = 0; turn < 2 * TRIALS; turn++) {
      const usually = turn % 4 === 0 || turn % 4 === 3;
      const times = await this.measure(tokens, repeats, usually ? [] : chosen);
      for (const [name, choice] of choiceOf)
        book.add(
          ...([
            tokens,
            usually ? usual : choice,
            times.filter(({ product }) => nameOf(product) === name),
          ] as const),
        );
    }
  }

  /** Times of all products in so many steps. */
  private async measure(tokens: number, repeats: number, choices: Choices): Promise<readonly TimedProduct[]> {
    await this.idle(() => {
      this.tuner.choose(choices);
      this.tuner.note(ROOM);
    });
    for (let i = 0; i < repeats; i++) await this.step(tokens);
    return await this.idle(() => this.tuner.noted());
  }

  /** So many steps take long enough to be measured. */
  private async repeats(tokens: number): Promise<number> {
    await this.step(tokens);
    const start = performance.now();
    await this.step(tokens);
    return Math.max(1, Math.min(50, Math.ceil(LEAST / (performance.now() - start))));
  }

  private async step(tokens: number): Promise<void> {
    this.signal?.throwIfAborted();
    const ids = Array.from({ length: tokens }, (_, i) => (i * 7919 + 1) % this.model.vocabularySize);
    const options = { temperature: 0, maxTokens: 1, ignoreEnd: true };
    for await (const _ of this.model.generate(ids, options).events());
  }

  /** Runs when the device does nothing: for a while after opening, weights are brought over in the background. */
  private async idle<T>(run: () => T): Promise<T> {
    for (let attempt = 0; ; attempt++)
      try {
        return run();
      } catch (error) {
        if (attempt === 500) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
  }
}
