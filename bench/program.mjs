/**
 * Steps of a decoder over several sequences: what the cases `batch` and `attention` time, for every engine the same.
 *
 * @typedef {object} Part
 * @property {string} name
 * @property {readonly number[]} sequences by number; all of them get their tokens in one step
 * @property {number} tokens of each sequence in a step
 * @property {number} steps one after another
 *
 * Before each part every sequence is cut to the length that it had at the start.
 */
import { DenseCache, makeBatch } from "../dist/cache/index.js";
import { Stream } from "../dist/ops/index.js";
import { tokens } from "./tokens.mjs";

/** Tokens in one step; more are cut, as by Fovea's runner and by llama.cpp's default. */
export const CHUNK = 512;

/**
 * Drives Fovea's decoder directly, without drawing tokens, on any device. Makes each step anew, where the library runs a
 * recorded one again.
 */
export class Program {
  /**
   * @param {import("../src/nn/index.ts").Decoder} decoder
   * @param {import("../src/ops/index.ts").Device} device
   * @param {import("../src/ops/index.ts").StreamOptions} [options]
   */
  constructor(decoder, device, options = {}) {
    this.decoder = decoder;
    this.device = device;
    this.options = options;
    this.cache = new DenseCache(device, decoder.parts.cacheLayers, { format: "f16" });
    this.sequences = [];
    this.lengths = [];
  }

  /** Makes sequences of these lengths. */
  async begin(lengths) {
    for (const length of lengths) {
      const index = this.sequences.push(this.cache.add()) - 1;
      for (let start = 0; start < length; start += CHUNK)
        await this.step([index], Math.min(CHUNK, length - start), 0);
      this.lengths.push(length);
    }
  }

  /** @param {Part} part */
  async run({ sequences, tokens, steps }, seed) {
    for (let i = 0; i < steps; i++) await this.step(sequences, tokens, seed + i);
  }

  rewind() {
    for (const [i, sequence] of this.sequences.entries()) this.cache.truncate(sequence, this.lengths[i]);
  }

  /** Adds tokens to each of the sequences, and reads the logits after the last of each. */
  async step(indices, count, seed) {
    const s = new Stream(this.device, this.options);
    const batch = makeBatch(
      indices.map((index) => {
        const sequence = this.sequences[index];
        const ids = tokens(count, seed + index, this.decoder.vocabularySize);
        return { sequence, ids, start: this.cache.length(sequence) };
      }),
    );
    const hidden = this.decoder.forward(s, batch, this.cache);
    const last = Int32Array.from(indices, (_, i) => (i + 1) * count - 1);
    return await s.read(this.decoder.logits(s, hidden, last));
  }
}
