/**
 * Tokenizers in SentencePiece's own terms: pieces with scores and types, and how spaces are treated. Both
 * GGUF vocabularies and tokenizer.model files come down to this. Knows nothing of files.
 */
import type { AddedToken } from "./added-tokens.ts";
import { Bpe, type PieceModel } from "./bpe.ts";
import { ByteStrings } from "./byte-strings.ts";
import type { ChatTemplate } from "./chat-template.ts";
import type { DecodeRules } from "./decoder.ts";
import type { Normalizer } from "./normalizer.ts";
import { PipelineTokenizer } from "./pipeline.ts";
import { Unigram } from "./unigram.ts";
import { Vocabulary } from "./vocabulary.ts";

/** As in SentencePiece's ModelProto and in `tokenizer.ggml.token_type`. */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface SentencePieceParts {
  file: string;
  algorithm: "bpe" | "unigram";
  tokens: string[];
  scores: ArrayLike<number>;
  types: ArrayLike<number>;
  unknown: number;
  /** A text begins with a space that is not its own. */
  spacePrefix: boolean;
  /** Runs of spaces become one, and spaces at the ends go. */
  collapseSpaces: boolean;
  charsmap: Normalizer | undefined;
  bos: number | undefined;
  eos: readonly number[];
  prefix: readonly number[];
  suffix: readonly number[];
  chatTemplate: ChatTemplate | undefined;
}

const MARK = "\u2581";
const utf8 = new TextEncoder();
const NOTHING = new Uint8Array(0);

export function sentencePieceTokenizer(parts: SentencePieceParts): PipelineTokenizer {
  const { tokens, types, spacePrefix, collapseSpaces, charsmap } = parts;
  const vocabulary = Vocabulary.fromList(tokens);
  const normalizer: Normalizer = (text) => {
    let plain = charsmap === undefined ? text : charsmap(text);
    if (collapseSpaces) plain = plain.replace(/ +/g, " ").replace(/^ | $/g, "");
    if (plain === "") return "";
    return (spacePrefix ? MARK : "") + plain.replaceAll(" ", MARK);
  };
  return new PipelineTokenizer({
    vocabulary,
    added: writtenTokens(tokens, types),
    special: specialIds(types),
    normalizer,
    cut: undefined,
    model: makeModel(parts, vocabulary),
    prefix: parts.prefix,
    suffix: parts.suffix,
    decode: decodeRules(parts),
    bos: parts.bos,
    eos: parts.eos,
    chatTemplate: parts.chatTemplate,
    origin:
      parts.algorithm === "bpe"
        ? { kind: "sentencepiece", scores: parts.scores, merges: ByteStrings.from([]), spacePrefix }
        : { kind: "other", name: "Unigram" },
  });
}

export function specialIds(types: ArrayLike<number>): Set<number> {
  const special = new Set<number>();
  for (let id = 0; id < types.length; id++)
    if (types[id] === TokenType.control || types[id] === TokenType.unknown) special.add(id);
  return special;
}

/** Control tokens are special; user-defined ones are found in any text. */
export function writtenTokens(tokens: readonly string[], types: ArrayLike<number>): AddedToken[] {
  const added: AddedToken[] = [];
  for (let id = 0; id < tokens.length; id++) {
    const type = types[id];
    if (type !== TokenType.control && type !== TokenType.userDefined && type !== TokenType.unknown) continue;
    added.push({
      id,
      content: tokens[id] as string,
      special: type !== TokenType.userDefined,
      lstrip: false,
      rstrip: false,
      singleWord: false,
      normalized: false,
    });
  }
  return added;
}

function makeModel(parts: SentencePieceParts, vocabulary: Vocabulary): PieceModel {
  const { types, scores, unknown, file } = parts;
  const isPiece = (id: number): boolean =>
    types[id] === TokenType.normal || types[id] === TokenType.userDefined;
  const byteFallback = vocabulary.id("<0x00>") !== undefined;
  if (parts.algorithm === "unigram")
    return new Unigram({ vocabulary, scores, skip: (id) => !isPiece(id), unknown, byteFallback });
  return new Bpe({
    file,
    vocabulary,
    pairs: { scores },
    byteLevel: false,
    byteFallback,
    wholeFirst: false,
    unknown,
    fuseUnknown: true,
    continuingPrefix: "",
    endSuffix: "",
  });
}

function decodeRules({ tokens, types, spacePrefix }: SentencePieceParts): DecodeRules {
  return {
    leadingSpaces: spacePrefix ? 1 : 0,
    trailingSpace: false,
    bytes: (id) => {
      const token = tokens[id];
      if (token === undefined) return NOTHING;
      if (types[id] === TokenType.byte) {
        const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
        if (byte !== null) return Uint8Array.of(Number.parseInt(byte[1] as string, 16));
      }
      return utf8.encode(types[id] === TokenType.control ? token : token.replaceAll(MARK, " "));
    },
  };
}
