/** What a language model is worth: bits per byte on held-out texts, samples, and whether these are recited. */
import { type LanguageModel, open } from "fovea";
import { type Screen, TokenFile } from "fovea/learn";
import { NGramModel } from "./ngram.js";
import type { HeldOut } from "./prepare.js";
import { numbered, SharedRuns } from "./recitation.js";

export interface BitsPerByte {
  readonly bits: number;
  readonly bytes: number;
  readonly tokens: number;
  readonly byText: readonly { readonly name: string; readonly bits: number; readonly bytes: number }[];
}

/** The beginnings of the texts, cut at a line, of at most so many bytes in all. */
export function beginnings(texts: readonly HeldOut[], bytes: number): HeldOut[] {
  const each = bytes / texts.length;
  return texts.map(({ name, text }) => {
    if (Buffer.byteLength(text) <= each) return { name, text };
    const part = Buffer.from(text).subarray(0, each).toString();
    return { name, text: part.slice(0, part.lastIndexOf("\n") + 1) };
  });
}

/** Each token sees what stands before it, at least half a window once there is as much; bytes are those of UTF-8. */
export async function bitsPerByte(
  model: LanguageModel,
  texts: readonly HeldOut[],
  screen: Screen,
  signal: AbortSignal,
): Promise<BitsPerByte> {
  const byText: { name: string; bits: number; bytes: number; tokens: number }[] = [];
  for (const { name, text } of texts) {
    const first = model.tokenizer!.bos ?? 0;
    const ids = [first, ...model.tokenizer!.encode(text, { addSpecial: false, parseSpecial: false })];
    const { nll } = await model.score(ids, {
      onProgress: (done, total) => screen.update(`scoring ${name}: ${Math.floor((100 * done) / total)} %`),
      signal,
    });
    const bytes = Buffer.byteLength(text);
    byText.push({ name, bits: nll / Math.LN2 / bytes, bytes, tokens: ids.length - 1 });
  }
  const bytes = byText.reduce((sum, text) => sum + text.bytes, 0);
  return {
    bits: byText.reduce((sum, text) => sum + text.bits * text.bytes, 0) / bytes,
    bytes,
    tokens: byText.reduce((sum, { tokens }) => sum + tokens, 0),
    byText: byText.map(({ name, bits, bytes }) => ({ name, bits, bytes })),
  };
}

export async function bitsPerByteOf(
  folder: string,
  texts: readonly HeldOut[],
  screen: Screen,
  signal: AbortSignal,
): Promise<BitsPerByte> {
  const model = await open(folder, { packedCache: false });
  try {
    return await bitsPerByte(model, texts, screen, signal);
  } finally {
    await model.close();
  }
}

/** A 5-gram model over the same tokens, learned from the same documents. */
export function ngramBitsPerByte(
  path: string,
  vocabulary: number,
  texts: readonly { readonly ids: readonly number[]; readonly bytes: number }[],
  screen: Screen,
): number {
  const file = TokenFile.open(path)!;
  const model = new NGramModel(5, vocabulary);
  const { documents } = file.facts;
  for (const [i, { start, name }] of documents.entries()) {
    screen.update(`5-grams: ${i} of ${documents.length} documents, ${name}`);
    const tokens = new Int32Array((documents[i + 1]?.start ?? file.length) - start);
    file.read(start, tokens);
    model.add(tokens);
  }
  file.close();
  model.finish();
  let [nats, bytes] = [0, 0];
  for (const text of texts) {
    nats += model.nll(Int32Array.from([0, ...text.ids]), 1);
    bytes += text.bytes;
  }
  return nats / Math.LN2 / bytes;
}

export interface Recitation {
  /** Bytes of the longest run that samples share with the training text, and the run. */
  readonly bytes: number;
  readonly tokens: number;
  readonly text: string;
}

/** @param texts the training texts, one after another */
export async function longestShared(
  samples: readonly string[],
  texts: AsyncIterable<string>,
  tokens: (text: string) => number,
): Promise<Recitation> {
  const { numbers, samples: mapped } = numbered(samples.map((sample) => Buffer.from(sample)));
  const runs = new SharedRuns(mapped, numbers.size);
  const table = Int16Array.from({ length: 256 }, (_, byte) => numbers.get(byte) ?? -1);
  let best: Uint8Array = new Uint8Array(0);
  for await (const text of texts) {
    const bytes = Buffer.from(text);
    const before = runs.longest;
    const start = runs.led;
    runs.lead(Int16Array.from(bytes, (byte) => table[byte]!));
    runs.lead([-1]);
    if (runs.longest > before)
      best = bytes.subarray(runs.longestEnd - start - runs.longest, runs.longestEnd - start);
  }
  const text = new TextDecoder().decode(best);
  return { bytes: best.length, tokens: tokens(text), text };
}

/** Continuations of the beginnings of held-out paragraphs, at a temperature. */
export async function sample(
  model: LanguageModel,
  prompts: readonly string[],
  options: { readonly temperature: number; readonly maxTokens: number; readonly seed: number },
  signal: AbortSignal,
): Promise<string[]> {
  const out: string[] = [];
  for (const [i, prompt] of prompts.entries()) {
    const ids = model.tokenizer!.encode(prompt, { addSpecial: false });
    const maxTokens = Math.max(1, Math.min(options.maxTokens, model.contextLength - ids.length));
    const { text } = await model
      .generate(ids, { ...options, maxTokens, seed: options.seed + i, ignoreEnd: true, signal })
      .result();
    signal.throwIfAborted();
    out.push(text);
  }
  return out;
}
