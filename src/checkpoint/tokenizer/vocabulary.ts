/**
 * The two directions between tokens and ids. Knows nothing of how a text is cut into tokens.
 */
import { CheckpointError } from "../../base/errors.ts";

export class Vocabulary {
  /** Token by id; an id that no token has is undefined. */
  readonly tokens: (string | undefined)[];
  #ids: Map<string, number> | undefined;
  #entries: () => Iterable<readonly [string, number]>;

  private constructor(tokens: (string | undefined)[], entries: () => Iterable<readonly [string, number]>) {
    this.tokens = tokens;
    this.#entries = entries;
  }

  /** From {"token": id}. Ids far beyond the number of tokens are refused: they would cost memory for nothing. */
  static fromObject(vocab: Record<string, unknown>, file: string, field: string): Vocabulary {
    const names = Object.keys(vocab);
    const tokens: (string | undefined)[] = new Array(names.length).fill(undefined);
    const limit = idLimit(names.length);
    for (const name of names) {
      const id = vocab[name];
      if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= limit)
        throw new CheckpointError(
          file,
          `the id of "${name.slice(0, 80)}" must be an integer below ${limit}`,
          {
            field,
          },
        );
      if (tokens[id] !== undefined)
        throw new CheckpointError(file, `two tokens have the id ${id}`, { field });
      while (tokens.length <= id) tokens.push(undefined);
      tokens[id] = name;
    }
    return new Vocabulary(tokens, () => names.map((name) => [name, vocab[name] as number] as const));
  }

  /** From tokens in the order of their ids; of equal tokens the first has the name. */
  static fromList(tokens: string[]): Vocabulary {
    return new Vocabulary(tokens, function* () {
      for (let id = tokens.length - 1; id >= 0; id--) yield [tokens[id] as string, id] as const;
    });
  }

  /** One more than the highest id. */
  get size(): number {
    return this.tokens.length;
  }

  id(token: string): number | undefined {
    this.#ids ??= new Map(this.#entries());
    return this.#ids.get(token);
  }

  /** Adds a token beside the model's own. */
  add(token: string, id: number): void {
    while (this.tokens.length <= id) this.tokens.push(undefined);
    this.tokens[id] = token;
    if (this.#ids !== undefined) this.#ids.set(token, id);
    else {
      const before = this.#entries;
      this.#entries = function* () {
        yield* before();
        yield [token, id] as const;
      };
    }
  }
}

/** Ids may have gaps, but not such that a small file asks for a large table. */
export const idLimit = (tokens: number): number => 4 * tokens + 4096;
