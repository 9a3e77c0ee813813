/** Flags that several commands have, and how their values are read. Knows commander; must not open anything. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { OpenOptions } from "../tasks/types.ts";

/** A number in decimal notation. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("It is not a number.");
  return value;
}

/** A number above 0. */
export function positive(text: string): number {
  const value = number(text);
  if (value <= 0) throw new InvalidArgumentError("It must be above 0.");
  return value;
}

/** Seconds that a timer can take: its milliseconds are below 2³¹, and more would count as none. */
export function seconds(text: string): number {
  const value = positive(text);
  if (value > 2_147_483) throw new InvalidArgumentError("It must be at most 2147483 seconds, or 24 days.");
  return value;
}

/** An integer of at least `min`. */
export const integer =
  (min: number, max = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = number(text);
    if (!Number.isSafeInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(
        max === Number.MAX_SAFE_INTEGER
          ? `It must be an integer from ${min}.`
          : `It must be an integer from ${min} to ${max}.`,
      );
    return value;
  };

/** Token ids, separated by commas. */
export function ids(text: string): number[] {
  if (!/^\s*\d+(\s*,\s*\d+)*\s*$/.test(text))
    throw new InvalidArgumentError("It must be token ids, separated by commas.");
  return text.split(",").map(Number);
}

/** The base address of an API, without a slash at its end. */
export function address(text: string): string {
  const { protocol = "" } = URL.canParse(text) ? new URL(text) : {};
  if (protocol !== "http:" && protocol !== "https:")
    throw new InvalidArgumentError("It must be an address such as http://127.0.0.1:8080/v1.");
  return text.replace(/\/+$/, "");
}

/** Gathers the values of a flag that may be given several times. */
export const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

export interface ModelFlags {
  readonly model?: string;
  /** Of commands that measure: random weights of a shape in place of a model. */
  readonly random?: string;
  readonly device: NonNullable<OpenOptions["device"]>;
  readonly threads?: number;
  readonly precision?: NonNullable<OpenOptions["precision"]>;
  readonly packedCache?: string | false;
  /** Of commands that serve several requests. */
  readonly sequences?: number;
  readonly cacheTokens?: number;
}

/** `--model`, `--device`, `--threads`, `--precision`, `--packed-cache` and `--no-packed-cache`. */
export const modelFlags = (command: Command): Command =>
  command
    .option(
      "-m, --model <model>",
      "folder, .gguf file, or ORG/NAME that was pulled (default: the model that ships)",
    )
    .addOption(
      new Option("--device <device>", "where the arithmetic runs")
        .choices(["auto", "native", "wasm", "reference"])
        .default("auto"),
    )
    .option("--threads <n>", "threads of the device (default: the cores at hand)", integer(1, 512))
    .addOption(
      new Option(
        "--precision <precision>",
        "of products with float weights; bf16 makes prompts and batches much faster with AMX, and is slower without (default: f32)",
      ).choices(["f32", "bf16"]),
    )
    .option(
      "--packed-cache <folder>",
      "where packed weights are kept for the next start (default: beside the checkpoint)",
    )
    .option("--no-packed-cache", "keep no packed weights, and use none");

export const jsonFlag = (command: Command): Command => command.option("--json", "print one JSON object");
