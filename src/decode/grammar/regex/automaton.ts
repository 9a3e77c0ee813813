/**
 * The deterministic automaton of regular expressions, made state by state as it is walked. One automaton serves
 * many expressions: a state is an expression, so what two of them share is made once.
 */
import { ParameterError } from "../../../base/errors.ts";
import type { ByteSet } from "./byte-set.ts";
import { EMPTY, type Expr, Expressions, NOTHING } from "./expressions.ts";

/** No string leads from here to a match. */
export const DEAD = 0;

/** States that are looked through for one that matches before an expression is given up. */
const SEARCH_LIMIT = 50_000;

interface Successors {
  /** The class of each byte. */
  readonly classes: Uint8Array;
  /** The derivative of each class. */
  readonly targets: readonly Expr[];
}

export class Automaton {
  readonly expressions = new Expressions();
  /** next[256 * state + byte]; -1 while it is not known. Grows, so it must be read anew after `fill`. */
  next = new Int32Array(256 * 64);
  /** 1: the string so far matches. */
  accepting = new Uint8Array(64);
  /** 1: no byte may follow. */
  final = new Uint8Array(64);
  readonly #exprs: Expr[] = [NOTHING];
  readonly #states = new Map<Expr, number>([[NOTHING, DEAD]]);
  readonly #successors = new Map<Expr, Successors>();
  /** Whether anything matches, where that had to be found out. */
  readonly #alive = new Map<Expr, boolean>();

  constructor() {
    this.next.fill(DEAD, 0, 256);
  }

  get states(): number {
    return this.#exprs.length;
  }

  /** The state in which a match of the expression begins; `DEAD` where there is none. */
  state(e: Expr): number {
    const known = this.#states.get(e);
    if (known !== undefined) return known;
    if (!this.matchesSomething(e)) {
      this.#states.set(e, DEAD);
      return DEAD;
    }
    const state = this.#exprs.length;
    this.#exprs.push(e);
    this.#states.set(e, state);
    if (state >= this.accepting.length) this.#grow();
    this.next.fill(-1, 256 * state, 256 * (state + 1));
    this.accepting[state] = this.expressions.nullable(e) ? 1 : 0;
    this.final[state] = e === EMPTY ? 1 : 0;
    return state;
  }

  exprOf(state: number): Expr {
    return this.#exprs[state]!;
  }

  step(state: number, byte: number): number {
    const known = this.next[256 * state + byte]!;
    return known >= 0 ? known : this.fill(state, byte);
  }

  /** Finds the successors of a state; gives that of the byte. */
  fill(state: number, byte: number): number {
    const { classes, targets } = this.#successorsOf(this.#exprs[state]!);
    const states = targets.map((target) => this.state(target));
    for (let b = 0; b < 256; b++) this.next[256 * state + b] = states[classes[b]!]!;
    return this.next[256 * state + byte]!;
  }

  matches(e: Expr, bytes: ArrayLike<number>): boolean {
    let state = this.state(e);
    for (let i = 0; i < bytes.length && state !== DEAD; i++) state = this.step(state, bytes[i]!);
    return this.accepting[state] === 1;
  }

  /** Looks for a string that matches, through the derivatives. */
  matchesSomething(e: Expr): boolean {
    const { expressions } = this;
    if (!expressions.doubtful(e)) return e !== NOTHING;
    const parents = new Map<Expr, Expr>([[e, NOTHING]]);
    const open: Expr[] = [e];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const known = this.#alive.get(at);
      if (known === false) continue;
      if (known === true || expressions.nullable(at) || !expressions.doubtful(at)) {
        for (let step = at; step !== NOTHING; step = parents.get(step)!) this.#alive.set(step, true);
        return true;
      }
      if (parents.size > SEARCH_LIMIT)
        throw new ParameterError(
          "grammar",
          `a pattern needs more than ${SEARCH_LIMIT} states to find whether anything matches it; simplify it`,
        );
      for (const target of this.#successorsOf(at).targets)
        if (target !== NOTHING && !parents.has(target)) {
          parents.set(target, at);
          open.push(target);
        }
    }
    for (const dead of parents.keys()) this.#alive.set(dead, false);
    return false;
  }

  #successorsOf(e: Expr): Successors {
    const known = this.#successors.get(e);
    if (known !== undefined) return known;
    const sets = new Set<ByteSet>();
    this.expressions.frontier(e, sets);
    const classes = new Uint8Array(256);
    let count = 1;
    for (const set of sets) {
      // Splits every class into the bytes in the set and the others.
      const inside = new Map<number, number>();
      const sizes = new Uint16Array(count);
      for (let b = 0; b < 256; b++) sizes[classes[b]!]!++;
      const members = new Uint16Array(count);
      for (let b = 0; b < 256; b++) if (set.has(b)) members[classes[b]!]!++;
      for (let c = 0, before = count; c < before; c++)
        if (members[c]! > 0 && members[c]! < sizes[c]!) inside.set(c, count++);
      if (inside.size === 0) continue;
      for (let b = 0; b < 256; b++) if (set.has(b)) classes[b] = inside.get(classes[b]!) ?? classes[b]!;
    }
    const targets: Expr[] = new Array(count).fill(-1);
    for (let b = 0; b < 256; b++)
      if (targets[classes[b]!] === -1) targets[classes[b]!] = this.expressions.derivative(e, b);
    const found = { classes, targets };
    this.#successors.set(e, found);
    return found;
  }

  #grow(): void {
    const size = 2 * this.accepting.length;
    const grown = <T extends Int32Array | Uint8Array>(array: T, into: T): T => {
      into.set(array);
      return into;
    };
    this.next = grown(this.next, new Int32Array(256 * size));
    this.accepting = grown(this.accepting, new Uint8Array(size));
    this.final = grown(this.final, new Uint8Array(size));
  }
}
