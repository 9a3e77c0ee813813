/**
 * The file in which choices for products are kept from one run to the next. Knows files and what a table must look
 * like; must not know what choices mean. A file that is broken, of another machine or of other kernels is told by a
 * warning, and passed over; the next `keep` replaces it.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { cpus, homedir } from "node:os";
import { dirname, join } from "node:path";
import { DeviceError } from "../../base/errors.ts";
import { type FormatName, formats } from "../../format/index.ts";
import { isChoice, type Product, type TunedProduct } from "../../ops/index.ts";

/** All that a measurement depends on, beside the product. */
export interface Machine {
  readonly cpu: string;
  readonly isa: string;
  /** Of the engine. */
  readonly threads: number;
  /** Names the sources and the compiler of the kernels. */
  readonly kernels: string;
}

const VERSION = "fovea tuning 1";
/** A table of any number of models is far smaller. */
const MOST_BYTES = 1 << 20;

export const thisMachine = (isa: string, threads: number, kernels: string): Machine => ({
  cpu: `${cpus()[0]?.model.trim() ?? "unknown"} (${process.arch})`,
  ...{ isa, threads, kernels },
});

/** Where tables lie: FOVEA_TUNING, or a folder of the user's caches. Undefined: FOVEA_TUNING=0. */
export function tuningFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env.FOVEA_TUNING === "0") return undefined;
  return env.FOVEA_TUNING || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "fovea");
}

export const tablePath = (folder: string, { isa, threads }: Machine): string =>
  join(folder, `tuning-${isa}-${threads}.json`);

/** The choices of a file that fits this machine; none, with a warning, of one that does not. */
export function readTable(
  path: string,
  machine: Machine,
  warn: (message: string) => void = (message) => process.emitWarning(message),
): readonly TunedProduct[] {
  if (!existsSync(path)) return [];
  const refuse = (problem: string): [] => {
    warn(`${path}: ${problem}; it is not used. Run "fovea tune" again, or delete it`);
    return [];
  };
  try {
    const text = readFileSync(path, "utf8");
    if (text.length > MOST_BYTES) return refuse("is too large for a table of choices");
    const file: unknown = JSON.parse(text);
    if (!isRecord(file) || file.version !== VERSION) return refuse(`is not a file of "${VERSION}"`);
    for (const [name, value] of Object.entries(machine))
      if (!isRecord(file.machine) || file.machine[name] !== value)
        return refuse(`was measured with another ${name}`);
    if (!Array.isArray(file.products) || !file.products.every(isTuned))
      return refuse("holds a choice that cannot be");
    return file.products;
  } catch (error) {
    return refuse(error instanceof SyntaxError ? "is not JSON" : String(error));
  }
}

/** Makes this the file: whole or not at all. */
export function writeTable(path: string, machine: Machine, products: readonly TunedProduct[]): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const lines = products.map((product) => `    ${JSON.stringify(product)}`).join(",\n");
  const head = `{\n  "version": "${VERSION}",\n  "machine": ${JSON.stringify(machine)},\n`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, `${head}  "products": [\n${lines}\n  ]\n}\n`, { flag: "wx" });
    renameSync(temporary, path);
  } catch (error) {
    if (existsSync(temporary)) rmSync(temporary);
    throw new DeviceError("native", `${path}: cannot be written: ${(error as Error).message}`, error);
  }
}

/** A text by which products are told apart. */
export const nameOf = ({ format, m, k, experts, gated, rows, threads }: Product): string =>
  [format, m, k, experts, gated, rows, threads].join(" ");

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isCount = (value: unknown, least: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= 2 ** 31;

function isTuned(value: unknown): value is TunedProduct {
  if (!isRecord(value) || !isRecord(value.product) || !isRecord(value.choice)) return false;
  const { product, choice, tokens, before, after } = value;
  return (
    Object.hasOwn(formats, product.format as FormatName) &&
    [product.m, product.k, product.rows, product.threads].every((count) => isCount(count, 1)) &&
    isCount(tokens, 1) &&
    isCount(product.experts, 0) &&
    typeof product.gated === "boolean" &&
    isChoice(choice as unknown as TunedProduct["choice"]) &&
    [before, after].every((time) => typeof time === "number" && Number.isFinite(time) && time > 0)
  );
}
