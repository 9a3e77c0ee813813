/**
 * Regular expressions over bytes as hash-consed nodes, with union, intersection and complement, and their
 * derivatives. Equal expressions have equal numbers, so a number can be the state of an automaton. Knows bytes
 * only: neither characters nor patterns.
 *
 * Brzozowski, "Derivatives of regular expressions", JACM 11 (1964); Owens, Reppy, Turon, "Regular-expression
 * derivatives re-examined", JFP 19 (2009), for the classes of bytes that share a derivative.
 */
import { ByteSet } from "./byte-set.ts";

/** The number of an expression. */
export type Expr = number;

/** Matches nothing. */
export const NOTHING: Expr = 0;
/** Matches the empty string only. */
export const EMPTY: Expr = 1;
/** Matches every string of bytes. */
const ANYTHING: Expr = 2;

type Node =
  | { readonly kind: "nothing" | "empty" }
  | { readonly kind: "bytes"; readonly set: ByteSet }
  | { readonly kind: "concat"; readonly head: Expr; readonly tail: Expr }
  | { readonly kind: "or" | "and"; readonly parts: readonly Expr[] }
  | { readonly kind: "not"; readonly part: Expr }
  | { readonly kind: "repeat"; readonly part: Expr; readonly min: number; readonly max: number }
  | { readonly kind: "multiple"; readonly of: Multiple };

/**
 * Digits, with at most one point among them, whose number is a multiple of `divisor` / 10^`scale`: those that may
 * follow when the digits so far leave `remainder`. `fraction` counts the digits that may still follow the point;
 * -1 before it.
 */
interface Multiple {
  readonly divisor: number;
  readonly scale: number;
  readonly remainder: number;
  readonly fraction: number;
}

export class Expressions {
  readonly #nodes: Node[] = [{ kind: "nothing" }, { kind: "empty" }, { kind: "not", part: NOTHING }];
  readonly #nullable: boolean[] = [false, true, true];
  /** Whether a node that is not `NOTHING` may match nothing all the same: it has an intersection or complement. */
  readonly #doubtful: boolean[] = [false, false, false];
  readonly #ids = new Map<string, Expr>([["n0", ANYTHING]]);

  get count(): number {
    return this.#nodes.length;
  }

  nullable(e: Expr): boolean {
    return this.#nullable[e]!;
  }

  doubtful(e: Expr): boolean {
    return this.#doubtful[e]!;
  }

  #add(key: string, node: Node, nullable: boolean, doubtful: boolean): Expr {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#nodes.push(node);
    this.#nullable.push(nullable);
    this.#doubtful.push(doubtful);
    this.#ids.set(key, this.#nodes.length - 1);
    return this.#nodes.length - 1;
  }

  set(set: ByteSet): Expr {
    if (set.size === 0) return NOTHING;
    return this.#add(`b${set.key}`, { kind: "bytes", set }, false, false);
  }

  /** One byte of a range, both ends included. */
  range(low: number, high: number): Expr {
    return this.set(ByteSet.range(low, high));
  }

  literal(bytes: ArrayLike<number>): Expr {
    let e = EMPTY;
    for (let i = bytes.length - 1; i >= 0; i--) e = this.concat(this.range(bytes[i]!, bytes[i]!), e);
    return e;
  }

  concat(a: Expr, b: Expr): Expr {
    if (a === NOTHING || b === NOTHING) return NOTHING;
    if (a === EMPTY) return b;
    if (b === EMPTY) return a;
    // Always (x (y (z ...))), so that one text has one expression.
    const heads: Expr[] = [];
    let rest = a;
    for (let node = this.#nodes[rest]!; node.kind === "concat"; node = this.#nodes[rest]!) {
      heads.push(node.head);
      rest = node.tail;
    }
    let e = this.#pair(rest, b);
    for (let i = heads.length - 1; i >= 0; i--) e = this.#pair(heads[i]!, e);
    return e;
  }

  #pair(head: Expr, tail: Expr): Expr {
    return this.#add(
      `c${head},${tail}`,
      { kind: "concat", head, tail },
      this.nullable(head) && this.nullable(tail),
      this.doubtful(head) || this.doubtful(tail),
    );
  }

  sequence(parts: readonly Expr[]): Expr {
    return parts.reduceRight((rest, part) => this.concat(part, rest), EMPTY);
  }

  or(parts: readonly Expr[]): Expr {
    const all = new Set<Expr>();
    let bytes: ByteSet | undefined;
    const add = (e: Expr): void => {
      const node = this.#nodes[e]!;
      if (node.kind === "or") for (const part of node.parts) add(part);
      else if (node.kind === "bytes") bytes = bytes === undefined ? node.set : bytes.union(node.set);
      else if (e !== NOTHING) all.add(e);
    };
    for (const part of parts) add(part);
    if (all.has(ANYTHING)) return ANYTHING;
    if (bytes !== undefined) all.add(this.set(bytes));
    if (all.has(EMPTY)) {
      all.delete(EMPTY);
      if (![...all].some((e) => this.nullable(e))) all.add(EMPTY);
    }
    if (all.size === 0) return NOTHING;
    const list = [...all].sort((a, b) => a - b);
    if (list.length === 1) return list[0]!;
    return this.#add(
      `o${list}`,
      { kind: "or", parts: list },
      list.some((e) => this.nullable(e)),
      list.some((e) => this.doubtful(e)),
    );
  }

  and(parts: readonly Expr[]): Expr {
    const all = new Set<Expr>();
    const add = (e: Expr): void => {
      const node = this.#nodes[e]!;
      if (node.kind === "and") for (const part of node.parts) add(part);
      else if (e !== ANYTHING) all.add(e);
    };
    for (const part of parts) add(part);
    if (all.has(NOTHING)) return NOTHING;
    if (all.has(EMPTY)) return [...all].every((e) => this.nullable(e)) ? EMPTY : NOTHING;
    for (const e of all) {
      const node = this.#nodes[e]!;
      if (node.kind === "not" && all.has(node.part)) return NOTHING;
    }
    const list = [...all].sort((a, b) => a - b);
    if (list.length === 0) return ANYTHING;
    if (list.length === 1) return list[0]!;
    const nullable = list.every((e) => this.nullable(e));
    return this.#add(`a${list}`, { kind: "and", parts: list }, nullable, true);
  }

  not(e: Expr): Expr {
    const node = this.#nodes[e]!;
    if (node.kind === "not") return node.part;
    return this.#add(`n${e}`, { kind: "not", part: e }, !this.nullable(e), true);
  }

  repeat(e: Expr, min: number, max = Number.POSITIVE_INFINITY): Expr {
    if (max < min) return NOTHING;
    if (max === 0 || e === EMPTY) return EMPTY;
    if (e === NOTHING) return min === 0 ? EMPTY : NOTHING;
    if (min === 1 && max === 1) return e;
    const least = this.nullable(e) ? 0 : min;
    const node = this.#nodes[e]!;
    if (node.kind === "repeat" && node.min === 0 && node.max === Number.POSITIVE_INFINITY) return e;
    return this.#add(
      `r${e},${least},${max}`,
      { kind: "repeat", part: e, min: least, max },
      least === 0,
      this.doubtful(e),
    );
  }

  optional(e: Expr): Expr {
    return this.or([e, EMPTY]);
  }

  /** Digits with a point or without, whose value is a multiple of `divisor` / 10^`scale`. */
  multiple(divisor: number, scale: number): Expr {
    return this.#multiple({ divisor, scale, remainder: 0, fraction: -1 });
  }

  #multiple(of: Multiple): Expr {
    const { divisor, scale, remainder, fraction } = of;
    const missing = 10n ** BigInt(fraction < 0 ? scale : fraction);
    const nullable = (BigInt(remainder) * missing) % BigInt(divisor) === 0n;
    const key = `m${divisor},${scale},${remainder},${fraction}`;
    return this.#add(key, { kind: "multiple", of }, nullable, true);
  }

  /** What may follow the byte in a string that matches. */
  derivative(e: Expr, byte: number): Expr {
    const node = this.#nodes[e]!;
    switch (node.kind) {
      case "nothing":
      case "empty":
        return NOTHING;
      case "bytes":
        return node.set.has(byte) ? EMPTY : NOTHING;
      case "concat": {
        const first = this.concat(this.derivative(node.head, byte), node.tail);
        return this.nullable(node.head) ? this.or([first, this.derivative(node.tail, byte)]) : first;
      }
      case "or":
        return this.or(node.parts.map((part) => this.derivative(part, byte)));
      case "and":
        return this.and(node.parts.map((part) => this.derivative(part, byte)));
      case "not":
        return this.not(this.derivative(node.part, byte));
      case "repeat":
        return this.concat(
          this.derivative(node.part, byte),
          this.repeat(node.part, Math.max(0, node.min - 1), node.max - 1),
        );
      case "multiple": {
        const { divisor, scale, remainder, fraction } = node.of;
        if (byte === 0x2e && fraction < 0 && scale > 0)
          return this.#multiple({ ...node.of, fraction: scale });
        if (byte < 0x30 || byte > 0x39 || fraction === 0) return NOTHING;
        const next = (remainder * 10 + byte - 0x30) % divisor;
        return this.#multiple({ ...node.of, remainder: next, fraction: fraction < 0 ? -1 : fraction - 1 });
      }
      default:
        return node satisfies never;
    }
  }

  /** Adds the sets of bytes that a match may begin with; bytes in the same of these have the same derivative. */
  frontier(e: Expr, sets: Set<ByteSet>): void {
    const node = this.#nodes[e]!;
    switch (node.kind) {
      case "bytes":
        sets.add(node.set);
        break;
      case "concat":
        this.frontier(node.head, sets);
        if (this.nullable(node.head)) this.frontier(node.tail, sets);
        break;
      case "or":
      case "and":
        for (const part of node.parts) this.frontier(part, sets);
        break;
      case "not":
      case "repeat":
        this.frontier(node.part, sets);
        break;
      case "multiple":
        for (const byte of "0123456789.") sets.add(ByteSet.range(byte.charCodeAt(0), byte.charCodeAt(0)));
        break;
    }
  }

  /**
   * An expression that agrees with this one on every string of at most `length` bytes: counts beyond it are
   * without end. Undefined where that could hide that nothing matches.
   */
  forgetful(e: Expr, length: number): Expr | undefined {
    if (this.doubtful(e)) return undefined;
    const known = new Map<Expr, Expr>();
    const walk = (at: Expr): Expr => {
      const found = known.get(at);
      if (found !== undefined) return found;
      const node = this.#nodes[at]!;
      let result = at;
      if (node.kind === "concat") {
        // Along the list, since a literal may be long.
        const heads: Expr[] = [];
        let rest = at;
        for (let n = this.#nodes[rest]!; n.kind === "concat"; n = this.#nodes[rest]!) {
          heads.push(n.head);
          rest = n.tail;
        }
        result = heads.reduceRight((tail, head) => this.concat(walk(head), tail), walk(rest));
      } else if (node.kind === "or") result = this.or(node.parts.map(walk));
      else if (node.kind === "repeat")
        result = this.repeat(
          walk(node.part),
          Math.min(node.min, length + 1),
          node.max > length ? Number.POSITIVE_INFINITY : node.max,
        );
      known.set(at, result);
      return result;
    };
    return walk(e);
  }
}
