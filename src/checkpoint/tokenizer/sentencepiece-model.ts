/**
 * Reads SentencePiece's tokenizer.model: a protocol-buffers message (sentencepiece_model.proto). Knows that
 * layout; must not know how texts are encoded.
 */
import { CheckpointError } from "../../base/errors.ts";
import { precompiledNormalizer } from "./charsmap.ts";
import {
  type ConfigurationFiles,
  chatTemplate,
  generationEos,
  rootOf,
  specialNames,
} from "./configuration.ts";
import type { PipelineTokenizer } from "./pipeline.ts";
import { sentencePieceTokenizer, TokenType } from "./sentencepiece.ts";

const UNIGRAM = 1;
const BPE = 2;
/** Classes that use the ids of the file as they are. */
const PLAIN = /^(Llama|CodeLlama|Gemma|T5|PreTrained)Tokenizer(Fast)?$/;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

export function tokenizerFromSentencePiece(
  file: string,
  bytes: Uint8Array,
  files: ConfigurationFiles,
): PipelineTokenizer {
  const tokens: string[] = [];
  const scores: number[] = [];
  const types: number[] = [];
  let trainer = new Map<number, number>();
  let normalizer = new Map<number, number>();
  let charsmap: Uint8Array = new Uint8Array(0);
  for (const { number, value } of new Message(file, bytes)) {
    if (number === 1 && value instanceof Uint8Array) {
      const piece = readPiece(file, value);
      tokens.push(piece.text);
      scores.push(piece.score);
      types.push(piece.type);
    } else if (number === 2 && value instanceof Uint8Array) trainer = readNumbers(file, value);
    else if (number === 3 && value instanceof Uint8Array) {
      normalizer = readNumbers(file, value);
      for (const field of new Message(file, value))
        if (field.number === 2 && field.value instanceof Uint8Array) charsmap = field.value;
    }
  }
  if (tokens.length === 0) throw new CheckpointError(file, "holds no pieces", { field: "pieces" });
  const algorithm = trainer.get(3) ?? UNIGRAM;
  if (algorithm !== UNIGRAM && algorithm !== BPE)
    throw new CheckpointError(file, `the model type ${algorithm} is not known`, {
      field: "trainer_spec.model_type",
    });
  const id = (field: number, otherwise: number): number | undefined => {
    const value = trainer.get(field) ?? otherwise;
    return value < tokens.length ? value : undefined;
  };
  const bos = id(41, 1);
  const eos = id(42, 2);
  const config = rootOf(files.config);
  const className = config.get("tokenizer_class").optionalString();
  if (className !== undefined && !PLAIN.test(className))
    config
      .get("tokenizer_class")
      .fail(`"${className}" needs a tokenizer.json: its ids are not those of ${file}`);
  // Llama's custom is to begin with BOS, T5's to end with EOS.
  const addBos = config.get("add_bos_token").boolean(algorithm === BPE);
  const addEos = config.get("add_eos_token").boolean(algorithm === UNIGRAM);
  return sentencePieceTokenizer({
    file,
    algorithm: algorithm === BPE ? "bpe" : "unigram",
    tokens: tokens.map((token, i) =>
      types[i] === TokenType.userDefined ? token.replaceAll("\u2581", " ") : token,
    ),
    scores,
    types,
    unknown: id(40, 0) ?? 0,
    spacePrefix: (normalizer.get(3) ?? 1) !== 0,
    collapseSpaces: (normalizer.get(4) ?? 1) !== 0,
    charsmap:
      charsmap.length === 0
        ? undefined
        : precompiledNormalizer(charsmap, file, "normalizer_spec.precompiled_charsmap"),
    bos,
    eos: [...new Set([...(eos === undefined ? [] : [eos]), ...generationEos(rootOf(files.generation))])],
    prefix: addBos && bos !== undefined ? [bos] : [],
    suffix: addEos && eos !== undefined ? [eos] : [],
    chatTemplate: chatTemplate(files, specialNames(config, rootOf(files.specialTokens)).byName),
  });
}

function readPiece(file: string, bytes: Uint8Array): { text: string; score: number; type: number } {
  const piece = { text: "", score: 0, type: TokenType.normal as number };
  for (const { number, value } of new Message(file, bytes)) {
    if (number === 1 && value instanceof Uint8Array) piece.text = utf8.decode(value);
    if (number === 2 && typeof value === "number") piece.score = value;
    if (number === 3 && typeof value === "number") piece.type = value;
  }
  return piece;
}

function readNumbers(file: string, bytes: Uint8Array): Map<number, number> {
  const numbers = new Map<number, number>();
  for (const { number, value } of new Message(file, bytes))
    if (typeof value === "number") numbers.set(number, value);
  return numbers;
}

/** The fields of a message, in order: numbers (of 32-bit fields: as floats) or bytes. */
class Message implements Iterable<{ number: number; value: number | Uint8Array }> {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(file: string, bytes: Uint8Array) {
    this.#file = file;
    this.#bytes = bytes;
  }

  *[Symbol.iterator](): Generator<{ number: number; value: number | Uint8Array }> {
    const bytes = this.#bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    while (this.#at < bytes.length) {
      const key = this.#varint();
      const number = Math.floor(key / 8);
      const wire = key % 8;
      if (wire === 0) yield { number, value: this.#varint() };
      else if (wire === 1) this.#take(8);
      else if (wire === 2) yield { number, value: this.#take(this.#varint()) };
      else if (wire === 5) {
        const at = this.#at;
        this.#take(4);
        yield { number, value: view.getFloat32(at, true) };
      } else
        throw new CheckpointError(this.#file, `the wire type ${wire} is not known`, { offset: this.#at });
    }
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new CheckpointError(this.#file, "a number is cut short", { offset: this.#at });
  }

  #take(length: number): Uint8Array {
    const from = this.#at;
    if (length > this.#bytes.length - from)
      throw new CheckpointError(this.#file, `${length} bytes are announced, fewer are left`, {
        offset: from,
      });
    this.#at = from + length;
    return this.#bytes.subarray(from, this.#at);
  }
}
