/**
 * The two directions between tokens and ids. Knows nothing of how a text is cut into tokens.
 */
import { CheckpointError } from "../../base/errors.ts";
import { ByteStrings } from "./byte-strings.ts";

export class Vocabulary {
  readonly #list: ByteStrings;
  /** Tokens beside the model's own, both ways. */
  readonly #addedIds = new Map<string, number>();
  readonly #addedTokens = new Map<number, string>();
  readonly #texts = new Map<number, string>();
  #size: number;

  /** Tokens in the order of their ids; of equal tokens the first has the name. */
  constructor(list: ByteStrings) {
    this.#list = list;
    this.#size = list.length;
  }

  /** From {"token": id}. */
  static fromObject(vocab: Record<string, unknown>, file: string, field: string): Vocabulary {
    const names = Object.keys(vocab);
    const order = idOrder(
      names.map((name) => vocab[name]),
      file,
      field,
    );
    return new Vocabulary(ByteStrings.from(Array.from(order, (place) => names[place])));
  }

  static fromList(tokens: readonly string[]): Vocabulary {
    return new Vocabulary(ByteStrings.from(tokens));
  }

  /** One more than the highest id. */
  get size(): number {
    return this.#size;
  }

  id(token: string): number | undefined {
    const added = this.#addedIds.get(token);
    if (added !== undefined) return added;
    const found = this.#list.find(token);
    return found >= 0 ? found : undefined;
  }

  /** Undefined for an id that no token has. */
  token(id: number): string | undefined {
    const known = this.#addedTokens.get(id) ?? this.#texts.get(id);
    if (known !== undefined) return known;
    const text = this.#list.at(id);
    if (text !== undefined) this.#texts.set(id, text);
    return text;
  }

  /** Whether a test holds for the UTF-8 of any of the model's own tokens. */
  some(test: (bytes: Uint8Array) => boolean): boolean {
    for (let id = 0; id < this.#list.length; id++) if (test(this.#list.bytes(id))) return true;
    return false;
  }

  /** Adds a token beside the model's own, or puts it in one's place. */
  add(token: string, id: number): void {
    this.#addedIds.set(token, id);
    this.#addedTokens.set(id, token);
    this.#size = Math.max(this.#size, id + 1);
  }
}

/** Ids may have gaps, but not such that a small file asks for a large table. */
export const idLimit = (tokens: number): number => 4 * tokens + 4096;

/** The place of each id in the list of ids, -1 where no token has it. */
export function idOrder(ids: ArrayLike<unknown>, file: string, field: string): Int32Array {
  const limit = idLimit(ids.length);
  let size = 0;
  for (let place = 0; place < ids.length; place++) {
    const id = ids[place];
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= limit)
      throw new CheckpointError(file, `the id of token ${place} must be an integer below ${limit}`, {
        field,
      });
    size = Math.max(size, id + 1);
  }
  const order = new Int32Array(size).fill(-1);
  for (let place = 0; place < ids.length; place++) {
    const id = ids[place] as number;
    if (order[id] !== -1) throw new CheckpointError(file, `two tokens have the id ${id}`, { field });
    order[id] = place;
  }
  return order;
}
