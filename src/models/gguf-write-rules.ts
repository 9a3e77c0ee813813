/** What several architectures need alike when they are written as GGUF. */
import type { Fields } from "../checkpoint/config.ts";
import type { GgufEntry } from "../checkpoint/gguf-writer.ts";
import type { WeightChange } from "./architecture.ts";
import { dimensions, slidingWindow } from "./common.ts";

export const u32 = (value: number): GgufEntry => ({ type: "u32", value });
export const f32 = (value: number): GgufEntry => ({ type: "f32", value });
export const bool = (value: boolean): GgufEntry => ({ type: "bool", value });

/**
 * Readers of the llama architecture rotate neighbouring pairs (2i, 2i + 1), where Hugging Face rotates
 * (i, i + headDim / 2): the rows of each head of q and k change places.
 */
export function neighbouringPairs(name: string, f: Fields): WeightChange | undefined {
  const [, which] = /\.self_attn\.([qk])_proj\.(?:weight|bias)$/.exec(name) ?? [];
  if (which === undefined) return undefined;
  const { heads, kvHeads, headDim } = dimensions(f);
  const order = new Int32Array((which === "q" ? heads : kvHeads) * headDim);
  for (let i = 0; i < order.length; i++) {
    const j = i % headDim;
    order[i] = i - j + (j % 2) * (headDim / 2) + (j >> 1);
  }
  return { order };
}

/** Gemma's norms multiply by 1 + weight; the file holds the sum. */
export const normsPlusOne = (name: string): WeightChange | undefined =>
  /norm\.weight$/.test(name) ? { plus: 1 } : undefined;

/**
 * What the 27B models of Gemma 2 and 3, known by their number of layers, divide scores by the root of: hidden /
 * heads instead of the size of a head. GGUF files do not say.
 */
export function queryScalar(m: Fields, layersOf27B: number): number {
  const share = m.int("embedding_length") / m.int("attention.head_count");
  return m.int("block_count") === layersOf27B ? share : m.int("attention.key_length", { default: share });
}

/** The key for the sliding window; none when the config sets none. */
export function windowEntry(f: Fields, absent = 0): Record<string, GgufEntry> {
  const window = slidingWindow(f, absent);
  return window === 0 ? {} : { "attention.sliding_window": u32(window) };
}

/** Refuses a config whose field has another value than the one that GGUF files of its kind imply. */
export function demand(f: Fields, field: string, found: unknown, implied: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(implied))
    f.fail(
      field,
      `is ${JSON.stringify(found)}, but GGUF files of this architecture imply ${JSON.stringify(implied)}`,
    );
}

/** Refuses windows that only some layers have, by a number that GGUF has no key for. */
export function demandNoWindow(f: Fields): void {
  if (f.bool("use_sliding_window", { default: false }) && f.has("sliding_window"))
    f.fail("use_sliding_window", "GGUF files of this architecture have no sliding window");
}
