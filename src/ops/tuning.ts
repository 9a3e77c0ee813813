/**
 * What may be chosen in how a device runs products with weight matrices: only what leaves the order of every sum
 * alone, so that no choice changes a bit. Plain data; whoever measures is on a floor above, whoever obeys below.
 */
import type { FormatName } from "../format/index.ts";

/** A product as a device runs it: neighbours over the same activations are one. */
export interface Product {
  readonly format: FormatName;
  /** Output rows of all its matrices together. */
  readonly m: number;
  readonly k: number;
  /** Matrices of a stack, 0 where there is none. */
  readonly experts: number;
  readonly gated: boolean;
  /** Its class by tokens: 1, 2, 4, 8, 16, 64 for up to so many, 256 for all that are more. */
  readonly rows: number;
  /** That take part in it. */
  readonly threads: number;
}

/** 0 for what the device takes by itself. */
export interface Choice {
  /** Bytes between what is read and what is asked from memory. */
  readonly ahead: number;
  /** Panels of 16 output rows that a thread takes at a time. */
  readonly panels: number;
  /** Part of k for which all tiles of tokens pass before the next. */
  readonly step: number;
  /** Widths of tiles: 1 the widest wherever it can be, 2 none wider than the one between, 3 than the middle one. */
  readonly tiles: number;
}

export const usual: Choice = { ahead: 0, panels: 0, step: 0, tiles: 0 };

/** The bounds of what can be chosen. A step is a multiple of 256. */
export const most: Choice = { ahead: 16384, panels: 64, step: 4096, tiles: 3 };

export const isChoice = (choice: Choice): boolean =>
  (Object.keys(most) as (keyof Choice)[]).every(
    (name) => Number.isInteger(choice[name]) && choice[name] >= 0 && choice[name] <= most[name],
  ) && choice.step % 256 === 0;

export interface TimedProduct {
  readonly product: Product;
  readonly nanoseconds: number;
}

/**
 * A choice that has won, with what was measured when it did: nanoseconds of the usual way, and of this, with so many
 * tokens.
 */
export interface TunedProduct {
  readonly product: Product;
  readonly choice: Choice;
  readonly tokens: number;
  readonly before: number;
  readonly after: number;
}

export interface Tuner {
  /** The file in which choices are kept. */
  readonly path: string;
  /** What was kept, and is chosen now. */
  readonly kept: readonly TunedProduct[];
  /** Chooses, until the device is closed. Only while nothing runs. */
  choose(choices: readonly { readonly product: Product; readonly choice: Choice }[]): void;
  /** Notes the times of so many products from now on; 0: of none. Only while nothing runs. */
  note(room: number): void;
  /** Takes what was noted. Only while nothing runs. */
  noted(): readonly TimedProduct[];
  /** Chooses these, and keeps them for devices that are opened later. */
  keep(tuned: readonly TunedProduct[]): void;
}
