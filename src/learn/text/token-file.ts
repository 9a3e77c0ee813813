/**
 * Tokens of a corpus on disk: NAME.bin holds them one after another, little-endian, in 2 or 4 bytes each; NAME.json
 * says how many, in how many bytes, and where documents begin. Read in pieces, so that a corpus may be larger than memory.
 * Knows numbers; must not know what they stand for.
 */
import { CheckpointError, ParameterError } from "../../base/errors.ts";
import { AtomicFile } from "../../checkpoint/atomic-file.ts";
import { FileSource } from "../../checkpoint/file.ts";
import { readJson, writeJson } from "../files.ts";

export interface TokenFacts {
  readonly tokens: number;
  readonly bytesPerToken: 2 | 4;
  /** Bytes of the text in UTF-8. */
  readonly textBytes: number;
  readonly documents: readonly { readonly name: string; readonly start: number }[];
}

export class TokenFileWriter {
  readonly #path: string;
  readonly #file: AtomicFile;
  readonly #bytesPerToken: 2 | 4;
  readonly #limit: number;
  readonly #documents: { name: string; start: number }[] = [];
  #tokens = 0;
  #textBytes = 0;

  /** @param path without an ending  @param vocabulary one more than the largest token */
  constructor(path: string, vocabulary: number) {
    this.#path = path;
    this.#file = new AtomicFile(`${path}.bin`);
    this.#bytesPerToken = vocabulary <= 65536 ? 2 : 4;
    this.#limit = vocabulary;
  }

  /** @param textBytes of the text that became these tokens */
  add(name: string, tokens: readonly number[], textBytes: number): void {
    const bad = tokens.find((token) => !(token >= 0 && token < this.#limit));
    if (bad !== undefined)
      throw new ParameterError("tokens", `${bad} is outside the vocabulary of ${this.#limit}`);
    const numbers = this.#bytesPerToken === 2 ? Uint16Array.from(tokens) : Uint32Array.from(tokens);
    this.#documents.push({ name, start: this.#tokens });
    this.#file.write(new Uint8Array(numbers.buffer));
    this.#tokens += tokens.length;
    this.#textBytes += textBytes;
  }

  /** The facts are written last: where they are, all is there. */
  finish(): TokenFacts {
    this.#file.commit();
    const facts: TokenFacts = {
      ...{ tokens: this.#tokens, bytesPerToken: this.#bytesPerToken },
      ...{ textBytes: this.#textBytes, documents: this.#documents },
    };
    writeJson(`${this.#path}.json`, facts);
    return facts;
  }
}

export class TokenFile {
  readonly facts: TokenFacts;
  readonly #source: FileSource;

  private constructor(path: string, facts: TokenFacts) {
    this.facts = facts;
    this.#source = new FileSource(`${path}.bin`);
    if (this.#source.size !== facts.tokens * facts.bytesPerToken) {
      this.#source.close();
      throw new CheckpointError(
        `${path}.bin`,
        "does not fit the .json beside it; remove both to make them anew",
      );
    }
  }

  /** Undefined where none was finished. */
  static open(path: string): TokenFile | undefined {
    const facts = readJson<TokenFacts>(`${path}.json`);
    return facts && new TokenFile(path, facts);
  }

  get length(): number {
    return this.facts.tokens;
  }

  /** Tokens [start, start + out.length) into `out`. */
  read(start: number, out: Int32Array): void {
    const { bytesPerToken } = this.facts;
    const bytes = this.#source.read(start * bytesPerToken, out.length * bytesPerToken);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < out.length; i++)
      out[i] = bytesPerToken === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true);
  }

  close(): void {
    this.#source.close();
  }
}
