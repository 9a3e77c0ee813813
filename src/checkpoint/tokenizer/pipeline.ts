/**
 * A tokenizer made of parts: find added tokens, normalize, cut, encode the pieces, add BOS and EOS; and back.
 * Knows nothing of the files that the parts came from.
 */
import { ParameterError } from "../../base/errors.ts";
import { type AddedToken, AddedTokenFinder } from "./added-tokens.ts";
import type { PieceModel } from "./bpe.ts";
import type { ByteStrings } from "./byte-strings.ts";
import type { ChatTemplate } from "./chat-template.ts";
import { ByteDetokenizer, type DecodeRules } from "./decoder.ts";
import type { Normalizer } from "./normalizer.ts";
import type { PreTokenizer } from "./pre-tokenizer.ts";
import type { DecodeOptions, Detokenizer, EncodeOptions, Tokenizer } from "./tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface PipelineParts {
  vocabulary: Vocabulary;
  added: readonly AddedToken[];
  /** Ids that are special without being written in texts. */
  special: ReadonlySet<number>;
  normalizer: Normalizer | undefined;
  cut: PreTokenizer | undefined;
  model: PieceModel;
  /** Ids before and after a text. */
  prefix: readonly number[];
  suffix: readonly number[];
  decode: DecodeRules;
  bos: number | undefined;
  eos: readonly number[];
  chatTemplate: ChatTemplate | undefined;
  origin: TokenizerOrigin;
}

/** What `toGgufVocabulary` must know beyond the interface. */
export type TokenizerOrigin =
  | {
      kind: "byte-bpe";
      merges: ByteStrings;
      patterns: readonly string[] | undefined;
      wholeFirst: boolean;
    }
  | {
      kind: "sentencepiece";
      scores: ArrayLike<number> | undefined;
      merges: ByteStrings;
      spacePrefix: boolean;
    }
  | { kind: "other"; name: string };

export class PipelineTokenizer implements Tokenizer {
  readonly vocabSize: number;
  declare readonly bos?: number;
  declare readonly eos?: readonly number[];
  declare readonly chatTemplate?: ChatTemplate;
  readonly parts: PipelineParts;
  readonly #special: ReadonlySet<number>;
  readonly #decode: DecodeRules;
  /** Finders of tokens in raw and in normalized text, by `parseSpecial`. */
  readonly #finders = new Map<boolean, { raw: AddedTokenFinder; normalized: AddedTokenFinder }>();

  constructor(parts: PipelineParts) {
    this.parts = parts;
    this.vocabSize = parts.vocabulary.size;
    if (parts.bos !== undefined) this.bos = parts.bos;
    if (parts.eos.length > 0) this.eos = parts.eos;
    if (parts.chatTemplate !== undefined) this.chatTemplate = parts.chatTemplate;
    const special = new Set(parts.special);
    for (const token of parts.added) if (token.special) special.add(token.id);
    this.#special = special;
    this.#decode = { ...parts.decode, bytes: remembered(parts.decode.bytes) };
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    const { prefix, suffix, normalizer } = this.parts;
    const addSpecial = options.addSpecial ?? true;
    const { raw, normalized } = this.#findersFor(options.parseSpecial ?? true);
    const out = addSpecial ? [...prefix] : [];
    let first = true;
    // Half a surrogate pair is no character: it encodes as U+FFFD.
    for (const section of raw.split(toWellFormed(text))) {
      if (typeof section === "number") out.push(section);
      else {
        const plain = normalizer === undefined ? section : normalizer(section);
        for (const part of normalized.split(plain)) {
          if (typeof part === "number") out.push(part);
          else this.#encodePlain(part, first, out);
          first = false;
        }
      }
      first = false;
    }
    if (addSpecial) for (const id of suffix) out.push(id);
    return out;
  }

  #encodePlain(text: string, first: boolean, out: number[]): void {
    const { cut, model } = this.parts;
    if (cut === undefined) model.encode(text, out);
    else for (const piece of cut(text, first)) model.encode(piece, out);
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const stream = this.detokenizer(options);
    const pieces: string[] = [];
    for (const id of ids) pieces.push(stream.push(id));
    pieces.push(stream.flush());
    return pieces.join("");
  }

  detokenizer(options: DecodeOptions = {}): Detokenizer {
    const skip = options.skipSpecial ?? false;
    const shown = new Set(options.show?.map((token) => this.id(token)));
    return new ByteDetokenizer(this.#decode, (id) => {
      this.#check(id);
      return skip && this.#special.has(id) && !shown.has(id);
    });
  }

  tokenBytes(id: number): Uint8Array {
    this.#check(id);
    return this.#decode.bytes(id);
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  id(token: string): number | undefined {
    return this.parts.vocabulary.id(token);
  }

  token(id: number): string | undefined {
    return this.parts.vocabulary.token(id);
  }

  /** Models may have more rows than the vocabulary has tokens, so any id is decoded, if to nothing. */
  #check(id: number): void {
    if (!Number.isInteger(id) || id < 0) throw new ParameterError("ids", `${id} is not a token id`);
  }

  #findersFor(parseSpecial: boolean): { raw: AddedTokenFinder; normalized: AddedTokenFinder } {
    let finders = this.#finders.get(parseSpecial);
    if (finders === undefined) {
      const { added, normalizer } = this.parts;
      const sought = added.filter((token) => parseSpecial || !token.special);
      // A token that is sought in normalized text is normalized like it.
      const inNormalized = (token: AddedToken): boolean => token.normalized && normalizer !== undefined;
      finders = {
        raw: new AddedTokenFinder(
          sought.filter((token) => !inNormalized(token)),
          (token) => token.content,
        ),
        normalized: new AddedTokenFinder(sought.filter(inNormalized), (token) =>
          normalizer === undefined ? token.content : normalizer(token.content),
        ),
      };
      this.#finders.set(parseSpecial, finders);
    }
    return finders;
  }
}

/** `String.prototype.toWellFormed`, typed. */
const toWellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, "\ufffd");

/** Grammars and streams ask for the bytes of the same tokens again and again. */
function remembered(bytes: (id: number) => Uint8Array): (id: number) => Uint8Array {
  const known = new Map<number, Uint8Array>();
  return (id) => {
    let found = known.get(id);
    if (found === undefined) {
      found = bytes(id);
      if (found.length > 0) known.set(id, found);
    }
    return found;
  };
}
