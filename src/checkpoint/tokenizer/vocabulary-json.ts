/**
 * Reads the two long parts of a tokenizer.json, the vocabulary and the merges, without making objects of
 * them; all else is left to JSON.parse. Knows JSON and where those parts stand; not what they mean. Whatever
 * it does not expect it leaves alone, for JSON.parse to read or to refuse.
 */
import { isUtf8 } from "node:buffer";
import { CheckpointError } from "../../base/errors.ts";
import { ByteStrings } from "./byte-strings.ts";
import { idOrder, Vocabulary } from "./vocabulary.ts";

/** The long parts, read; and the file with {} and [] in their places. */
export interface LongParts {
  rest: Uint8Array;
  vocabulary: Vocabulary | undefined;
  merges: ByteStrings | undefined;
}

/** Takes `model.vocab` and `model.merges` out of a tokenizer.json. */
export function takeLongParts(file: string, bytes: Uint8Array): LongParts | undefined {
  return quietly(bytes, (scanner) => {
    const rest: Uint8Array[] = [];
    let kept = 0;
    let vocabulary: Vocabulary | undefined;
    let merges: ByteStrings | undefined;
    const cut = (start: number, instead: string): void => {
      rest.push(bytes.subarray(kept, start), Buffer.from(instead));
      kept = scanner.at;
    };
    scanner.members((key) => {
      if (key !== "model" || scanner.peek() !== OBJECT) return false;
      scanner.members((name) => {
        const start = scanner.at;
        if (name === "vocab" && scanner.peek() === OBJECT) {
          if (vocabulary !== undefined) scanner.fail();
          vocabulary = readVocabulary(scanner, file, "model.vocab");
          cut(start, "{}");
          return true;
        }
        if (name === "merges" && scanner.peek() === LIST) {
          if (merges !== undefined) scanner.fail();
          merges = readMerges(scanner);
          cut(start, "[]");
          return true;
        }
        return false;
      });
      return true;
    });
    rest.push(bytes.subarray(kept));
    return { rest: Buffer.concat(rest), vocabulary, merges };
  });
}

/** A vocab.json: one object of ids. */
export function readVocabularyFile(file: string, bytes: Uint8Array): Vocabulary | undefined {
  return quietly(bytes, (scanner) => readVocabulary(scanner, file, "(root)"));
}

/** The lines of merges.txt, without the version line. */
export function mergeLines(file: string, bytes: Uint8Array): ByteStrings {
  const starts: number[] = [];
  const ends: number[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start);
    const next = newline < 0 ? bytes.length : newline;
    const end = bytes[next - 1] === 0x0d ? next - 1 : next;
    const version = start === 0 && bytes[0] === 0x23 && bytes[1] === 0x76; // "#v"
    if (end > start && !version) {
      if (!bytes.subarray(start, end).includes(0x20))
        throw new CheckpointError(file, "a merge must be two tokens", {
          field: `line ${starts.length + 1}`,
          offset: start,
        });
      starts.push(start);
      ends.push(end);
    }
    start = next + 1;
  }
  return new ByteStrings(bytes, Int32Array.from(starts), Int32Array.from(ends));
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;
const LIST = 0x5b;
const LIST_END = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

class Unexpected extends Error {}

function quietly<T>(bytes: Uint8Array, read: (scanner: Scanner) => T): T | undefined {
  if (!isUtf8(bytes)) return undefined;
  try {
    // A copy, because escapes are resolved in place.
    const scanner = new Scanner(Uint8Array.from(bytes));
    const result = read(scanner);
    scanner.end();
    return result;
  } catch (error) {
    if (error instanceof Unexpected) return undefined;
    throw error;
  }
}

function readVocabulary(scanner: Scanner, file: string, field: string): Vocabulary {
  const starts: number[] = [];
  const ends: number[] = [];
  const ids: number[] = [];
  scanner.open(OBJECT);
  for (let first = true; !scanner.closes(OBJECT_END, first); first = false) {
    scanner.string();
    starts.push(scanner.start);
    ends.push(scanner.stop);
    scanner.take(COLON);
    ids.push(scanner.integer());
  }
  const order = idOrder(ids, file, field);
  const pick = (from: number[]): Int32Array =>
    order.map((place) => (place < 0 ? -1 : (from[place] as number)));
  return new Vocabulary(new ByteStrings(scanner.bytes, pick(starts), pick(ends)));
}

/** ["a b", ...] or [["a", "b"], ...]; both are kept as "a b". */
function readMerges(scanner: Scanner): ByteStrings {
  const { bytes } = scanner;
  const starts: number[] = [];
  const ends: number[] = [];
  scanner.open(LIST);
  for (let first = true; !scanner.closes(LIST_END, first); first = false) {
    const pair = scanner.peek() === LIST;
    if (pair) scanner.open(LIST);
    scanner.string();
    const start = scanner.start;
    let end = scanner.stop;
    if (pair) {
      scanner.take(COMMA);
      scanner.string();
      bytes[end++] = 0x20;
      bytes.copyWithin(end, scanner.start, scanner.stop);
      end += scanner.stop - scanner.start;
      scanner.take(LIST_END);
    } else if (!bytes.subarray(start, end).includes(0x20)) scanner.fail();
    starts.push(start);
    ends.push(end);
  }
  return new ByteStrings(bytes, Int32Array.from(starts), Int32Array.from(ends));
}

/** Steps through JSON. */
class Scanner {
  readonly bytes: Uint8Array;
  at = 0;
  /** Where the string that was read last begins and ends, its escapes resolved. */
  start = 0;
  stop = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  fail(): never {
    throw new Unexpected();
  }

  /** The next byte that is not white space. */
  peek(): number {
    const { bytes } = this;
    let byte = bytes[this.at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++this.at];
    return byte ?? this.fail();
  }

  take(byte: number): void {
    if (this.peek() !== byte) this.fail();
    this.at++;
  }

  open(bracket: number): void {
    this.take(bracket);
  }

  /** Steps over a comma, or over the closing bracket, and says whether it was the bracket. */
  closes(bracket: number, first: boolean): boolean {
    const byte = this.peek();
    if (byte === bracket) {
      this.at++;
      return true;
    }
    if (!first) this.take(COMMA);
    return false;
  }

  end(): void {
    while (this.at < this.bytes.length) if ((this.bytes[this.at++] as number) > 0x20) this.fail();
  }

  /** Calls `visit` at each value of an object; it says whether it stepped over the value itself. */
  members(visit: (key: string) => boolean): void {
    this.open(OBJECT);
    for (let first = true; !this.closes(OBJECT_END, first); first = false) {
      this.string();
      const key = Buffer.from(this.bytes.buffer, this.start, this.stop - this.start).toString();
      this.take(COLON);
      this.peek();
      if (!visit(key)) this.skip();
    }
  }

  string(): void {
    const { bytes } = this;
    this.take(QUOTE);
    this.start = this.at;
    let p = this.at;
    for (; bytes[p] !== QUOTE; p++) {
      const byte = bytes[p];
      if (byte === BACKSLASH) {
        this.#escapedString(p);
        return;
      }
      if (byte === undefined || byte < 0x20) this.fail();
    }
    this.stop = p;
    this.at = p + 1;
  }

  /** The rest of a string from its first escape on. What an escape stands for is never longer than it. */
  #escapedString(from: number): void {
    const { bytes } = this;
    let end = from;
    while (bytes[end] !== QUOTE) {
      if (bytes[end] === undefined) this.fail();
      end += bytes[end] === BACKSLASH ? 2 : 1;
    }
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(bytes.subarray(this.start - 1, end + 1)).toString());
    } catch {
      this.fail();
    }
    if (typeof value !== "string") this.fail();
    this.stop = this.start + Buffer.from(value).copy(bytes, this.start);
    this.at = end + 1;
  }

  integer(): number {
    let value = 0;
    this.peek();
    const from = this.at;
    for (
      let byte = this.bytes[from] as number;
      byte >= 0x30 && byte <= 0x39;
      byte = this.bytes[++this.at] ?? 0
    )
      value = value * 10 + byte - 0x30;
    const digits = this.at - from;
    if (digits === 0 || digits > 10) this.fail();
    const after = this.peek();
    if (after !== COMMA && after !== OBJECT_END) this.fail();
    return value;
  }

  skip(): void {
    let depth = 0;
    do {
      const byte = this.peek();
      if (byte === QUOTE) this.#skipString();
      else {
        this.at++;
        if (byte === OBJECT || byte === LIST) depth++;
        else if (byte === OBJECT_END || byte === LIST_END) depth--;
        else if (depth === 0) {
          // A number or a word, to its end.
          while (/[\w.+-]/.test(String.fromCharCode(this.bytes[this.at] ?? 0))) this.at++;
        }
      }
    } while (depth > 0);
    if (depth < 0) this.fail();
  }

  #skipString(): void {
    for (this.at++; this.bytes[this.at] !== QUOTE; this.at++) {
      if (this.bytes[this.at] === undefined) this.fail();
      if (this.bytes[this.at] === BACKSLASH) this.at++;
    }
    this.at++;
  }
}
