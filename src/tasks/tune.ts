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
import { nameOf, TimeBook } from "./tune-book.ts";
import { best, candidates, confirmed, hopeless, median } from "./tune-decide.ts";
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

/** @throws FoveaError when the model's device has nothing to tune */
export async function tune(
  model: LanguageModel,
  { onProgress, signal }: TuneOptions = {},
): Promise<readonly TuneResult[]> {
  const tuner = model instanceof LoadedLanguageModel ? model.device.tuner : undefined;
  if (!tuner) throw new FoveaError(`${model.describe().device}: only the native device can be tuned`);
  const session = new Session(model, tuner, signal);
  let results: readonly TuneResult[];
  try {
    const fitting = classes.filter((counts) => counts.at(-1)! < model.contextLength);
    for (const [i, counts] of fitting.entries()) {
      onProgress?.(i, 2 * fitting.length);
      await session.search(counts);
    }
    // Long after the search, so that what was lucky then is so no more.
    for (const [i, counts] of fitting.entries()) {
      onProgress?.(fitting.length + i, 2 * fitting.length);
      await session.trial(counts);
    }
    results = session.results();
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

/** A product and the numbers of tokens that it was measured with; `choice` is what was found. */
interface Found {
  readonly product: Product;
  readonly counts: readonly number[];
  readonly choice: Choice | undefined;
}

class Session {
  private readonly model: LanguageModel;
  private readonly tuner: Tuner;
  private readonly signal: AbortSignal | undefined;
  private readonly searched = new TimeBook();
  private readonly tried = new TimeBook();
  private readonly found = new Map<string, Found>();

  constructor(model: LanguageModel, tuner: Tuner, signal: AbortSignal | undefined) {
    this.model = model;
    this.tuner = tuner;
    this.signal = signal;
  }

  /** One class of rows: rounds of all candidates with each number of tokens, and what is best for all of them. */
  async search(counts: readonly number[]): Promise<void> {
    const all = candidates(counts.at(-1)!);
    for (const count of counts) await this.rounds(count, all);
    for (const product of this.searched.products) {
      // Of classes that were measured before, or not with each number of tokens, nothing is said.
      const partly = counts.some((count) => this.searched.times(product, count, usual).length === 0);
      if (this.found.has(nameOf(product)) || partly) continue;
      const tried = all.map((choice) => ({
        choice,
        rounds: counts.map((count) => this.searched.rounds(product, count, choice)),
      }));
      this.found.set(nameOf(product), { product, counts, choice: best(tried) });
    }
  }

  /** What was found for one class, and the usual way, in turns. */
  async trial(counts: readonly number[]): Promise<void> {
    const chosen = [...this.found.values()].flatMap(({ product, counts: own, choice }) =>
      choice && own === counts ? [{ product, choice }] : [],
    );
    if (chosen.length > 0) for (const count of counts) await this.turns(count, chosen);
  }

  results(): TuneResult[] {
    return [...this.found.values()].map(({ product, counts, choice }): TuneResult => {
      const tokens = counts.at(-1)!;
      const book = choice ? this.tried : this.searched;
      const before = median(book.times(product, tokens, usual));
      const after = choice ? median(book.times(product, tokens, choice)) : before;
      const kept =
        choice !== undefined && confirmed(counts.map((count) => this.tried.rounds(product, count, choice)));
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
  private async rounds(tokens: number, all: readonly Choice[]): Promise<void> {
    const book = this.searched;
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

  private async turns(tokens: number, chosen: Choices): Promise<void> {
    const repeats = await this.repeats(tokens);
    const choiceOf = new Map(chosen.map(({ product, choice }) => [nameOf(product), choice]));
    for (let turn = 0; turn < 2 * TRIALS; turn++) {
      const usually = turn % 4 === 0 || turn % 4 === 3;
      const times = await this.measure(tokens, repeats, usually ? [] : chosen);
      for (const [name, choice] of choiceOf)
        this.tried.add(
          tokens,
          usually ? usual : choice,
          times.filter(({ product }) => nameOf(product) === name),
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
