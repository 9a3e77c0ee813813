/**
 * The number formats by name. Everything that depends on a format goes through this table.
 */
import { ParameterError } from "../base/errors.ts";
import { q4_0, q4_1, q5_0, q5_1, q8_0 } from "./blocks32.ts";
import { bf16, f16, f32 } from "./floats.ts";
import type { FormatName, NumberFormat } from "./format.ts";
import { q4_K, q5_K, q6_K } from "./kquants.ts";
import { i8_row } from "./rows8.ts";

export type { FormatName, NumberFormat } from "./format.ts";

export const formats: Readonly<Record<FormatName, NumberFormat>> = {
  f32,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_K,
  q5_K,
  q6_K,
  i8_row,
};

export const isFormat = (name: string): name is FormatName => Object.hasOwn(formats, name);

/** Bytes of `rows` rows with so many elements in all; a count that is no whole number of blocks is refused. */
export function formatBytes(format: FormatName, elements: number, rows = 1): number {
  const { block, blockBytes, rowBytes } = formats[format];
  if (!Number.isSafeInteger(elements) || elements < 0 || elements % block !== 0)
    throw new ParameterError(format, `${elements} elements are no whole number of blocks of ${block}`);
  return rows * rowBytes + (elements / block) * blockBytes;
}

/** Bytes of a row-major tensor; its rows run along the last dimension. */
export function shapedBytes(format: FormatName, shape: readonly number[]): number {
  const rows = shape.slice(0, -1).reduce((n, d) => n * d, 1);
  return rows * formatBytes(format, shape.at(-1) ?? 1);
}
