/**
 * How products of the native device are tuned: choices and times as the add-on's numbers, and the file that keeps
 * choices. Knows the add-on's order of numbers; must not measure or decide.
 */
import { type Addon, type AddonEngine, addonBuild } from "../../base/addon.ts";
import type { FormatName } from "../../format/index.ts";
import type { Choice, Product, TimedProduct, TunedProduct, Tuner } from "../../ops/index.ts";
import { dtypeCodes } from "../encode.ts";
import { readTable, tablePath, thisMachine, tuningFolder, writeTable } from "./table.ts";

/** Numbers of a product, as the add-on has them. */
const PRODUCT_NUMBERS = 7;

const formatOf = new Map(Object.entries(dtypeCodes).map(([name, code]) => [code, name as FormatName]));

const numbersOf = ({ format, m, k, experts, gated, rows, threads }: Product): readonly number[] => [
  ...[dtypeCodes[format]!, m, k, experts, gated ? 1 : 0, rows, threads],
];

const productOf = (at: Float64Array): Product => ({
  format: formatOf.get(at[0]!)!,
  ...{ m: at[1]!, k: at[2]!, experts: at[3]!, gated: at[4] === 1, rows: at[5]!, threads: at[6]! },
});

export class NativeTuner implements Tuner {
  readonly path: string;
  kept: readonly TunedProduct[];
  private readonly library: Addon;
  private readonly engine: () => AddonEngine;
  private readonly machine: ReturnType<typeof thisMachine>;

  /** Reads the table of this machine, if there is one, and chooses what it says. */
  constructor(library: Addon, engine: () => AddonEngine, threads: number) {
    this.library = library;
    this.engine = engine;
    this.machine = thisMachine(library.engineIsa(engine()), threads, addonBuild());
    const folder = tuningFolder();
    this.path = folder === undefined ? "" : tablePath(folder, this.machine);
    this.kept = this.path === "" ? [] : readTable(this.path, this.machine);
    this.choose(this.kept);
  }

  choose(choices: readonly { readonly product: Product; readonly choice: Choice }[]): void {
    const numbers = choices.flatMap(({ product, choice: { ahead, panels, step, tiles } }) => [
      ...numbersOf(product),
      ...[ahead, panels, step, tiles],
    ]);
    this.library.tune(this.engine(), Float64Array.from(numbers));
  }

  note(room: number): void {
    this.library.note(this.engine(), room);
  }

  noted(): readonly TimedProduct[] {
    const numbers = this.library.noted(this.engine());
    const times: TimedProduct[] = [];
    for (let at = 0; at < numbers.length; at += PRODUCT_NUMBERS + 1)
      times.push({ product: productOf(numbers.subarray(at)), nanoseconds: numbers[at + PRODUCT_NUMBERS]! });
    return times;
  }

  keep(tuned: readonly TunedProduct[]): void {
    this.choose(tuned);
    this.kept = tuned;
    if (this.path !== "") writeTable(this.path, this.machine, tuned);
  }
}
