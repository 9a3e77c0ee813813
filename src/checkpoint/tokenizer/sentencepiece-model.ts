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
  const message = new Message(file, bytes);
  while (message.next()) {
    const part = message.bytes;
    if (part === undefined) continue;
    if (message.number === 1) {
      const piece = readPiece(file, part);
      tokens.push(piece.text);
      scores.push(piece.score);
      types.push(piece.type);
    } else if (message.number === 2) trainer = readNumbers(file, part);
    else if (message.number === 3) {
      normalizer = readNumbers(file, part);
      const inner = new Message(file, part);
      while (inner.next()) if (inner.number === 2 && inner.bytes !== undefined) charsmap = inner.bytes;
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
  const message = new Message(file, bytes);
  while (message.next()) {
    if (message.bytes !== undefined) {
      if (message.number === 1) piece.text = utf8.decode(message.bytes);
    } else if (message.number === 2) piece.score = message.value;
    else if (message.number === 3) piece.type = message.value;
  }
  return piece;
}

function readNumbers(file: string, bytes: Uint8Array): Map<number, number> {
  const numbers = new Map<number, number>();
  const message = new Message(file, bytes);
  while (message.next()) if (message.bytes === undefined) numbers.set(message.number, message.value);
  return numbers;
}

/** Steps through the fields of a message. */
class Message {
  /** Of the field that `next` came to. */
  number = 0;
  /** A number (of 32 bits: a float) where the field holds one. */
  value = 0;
  /** Its bytes where it holds bytes. */
  bytes: Uint8Array | undefined;
  readonly #file: string;
  readonly #all: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(file: string, bytes: Uint8Array) {
    this.#file = file;
    this.#all = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** False at the end. */
  next(): boolean {
    if (this.#at >= this.#all.length) return false;
    const key = this.#varint();
    this.number = Math.floor(key / 8);
    this.bytes = undefined;
    const wire = key % 8;
    if (wire === 0) this.value = this.#varint();
    else if (wire === 1) this.#take(8);
    else if (wire === 2) this.bytes = this.#take(this.#varint());
    else if (wire === 5) {
      const at = this.#at;
      this.#take(4);
      this.value = this.#view.getFloat32(at, true);
    } else this.#fail(`the wire type ${wire} is not known`);
    return true;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const byte = this.#all[this.#at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return this.#fail("a number is cut short");
  }

  #take(length: number): Uint8Array {
    const from = this.#at;
    if (length > this.#all.length - from) this.#fail(`${length} bytes are announced, fewer are left`);
    this.#at = from + length;
    return this.#all.subarray(from, this.#at);
  }

  #fail(problem: string): never {
    throw new CheckpointError(this.#file, problem, { offset: this.#at });
  }
}
