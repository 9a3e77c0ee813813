/**
 * What each id contributes to a decoded text, and the stream that joins the contributions. Every vocabulary
 * decodes to bytes, and the bytes to text, so a stream and a whole text cannot differ. Knows nothing of how
 * texts are encoded.
 */
import type { Detokenizer } from "./tokenizer.ts";

export interface DecodeRules {
  /** The bytes of a token inside a text. */
  bytes: (id: number) => Uint8Array;
  /** The bytes of a text's first token, where they differ. */
  firstBytes?: ((id: number) => Uint8Array) | undefined;
  /** How many spaces at the beginning of a text are not the text's own. */
  leadingSpaces: number;
  /** One space at the end of a text is not the text's own: words end with it. */
  trailingSpace: boolean;
}

const SPACE = 0x20;

export class ByteDetokenizer implements Detokenizer {
  readonly #rules: DecodeRules;
  readonly #skip: (id: number) => boolean;
  #decoder = newDecoder();
  #first = true;
  #leading: number;
  #held = "";

  constructor(rules: DecodeRules, skip: (id: number) => boolean) {
    this.#rules = rules;
    this.#skip = skip;
    this.#leading = rules.leadingSpaces;
  }

  push(id: number): string {
    if (this.#skip(id)) return "";
    const { bytes, firstBytes, trailingSpace } = this.#rules;
    let piece = this.#first && firstBytes !== undefined ? firstBytes(id) : bytes(id);
    this.#first = false;
    while (this.#leading > 0 && piece.length > 0) {
      if (piece[0] === SPACE) {
        piece = piece.subarray(1);
        this.#leading--;
      } else this.#leading = 0;
    }
    const text = this.#held + this.#decoder.decode(piece, { stream: true });
    this.#held = trailingSpace && text.endsWith(" ") ? " " : "";
    return this.#held === "" ? text : text.slice(0, -1);
  }

  flush(): string {
    const rest = this.#decoder.decode();
    // A space that is held back was followed by something after all when bytes are left.
    const text = rest === "" ? "" : this.#held + rest;
    this.#decoder = newDecoder();
    this.#first = true;
    this.#leading = this.#rules.leadingSpaces;
    this.#held = "";
    return text;
  }
}

const newDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true });
