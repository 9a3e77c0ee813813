/**
 * What the rest of Fovea knows of a tokenizer: text to ids and back, whole or as a stream.
 * Knows nothing of files, vocabularies' formats or models.
 */
import type { ChatTemplate } from "./chat-template.ts";

export interface EncodeOptions {
  /** Add the BOS, EOS, [CLS], ... that the checkpoint asks for. Default true. */
  addSpecial?: boolean;
  /** Special tokens written in the text become their ids; otherwise they are text. Default true. */
  parseSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. Default false. */
  skipSpecial?: boolean;
  /** Special tokens that are not left out. */
  show?: readonly string[];
}

export interface Tokenizer {
  /** One more than the highest id. */
  readonly vocabSize: number;
  readonly bos?: number;
  /** Every id that ends a text, from the tokenizer's and the generation configuration. */
  readonly eos?: readonly number[];
  readonly chatTemplate?: ChatTemplate;
  encode(text: string, options?: EncodeOptions): number[];
  /** Bytes that are not UTF-8 become U+FFFD, as in WHATWG's decoder. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** The bytes that a token stands for inside a text (byte alphabet, byte fallback and space mark resolved). Not to be changed. */
  tokenBytes(id: number): Uint8Array;
  isSpecial(id: number): boolean;
  id(token: string): number | undefined;
  /** The token as the vocabulary writes it. */
  token(id: number): string | undefined;
  /** A stream that begins a text. To go on after a prompt, push the prompt's ids first: the first word's space hangs on it. */
  detokenizer(options?: DecodeOptions): Detokenizer;
}

/** Ids in, text out. The pieces joined equal `decode` of all ids. */
export interface Detokenizer {
  /** The text that is certain after this id; never half a character. */
  push(id: number): string;
  /** What was held back; the next `push` begins a new text. */
  flush(): string;
}
