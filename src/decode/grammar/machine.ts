/**
 * Runs a grammar over bytes: a pushdown automaton whose stacks, states and steps are shared and remembered, so that
 * whatever was met before costs one look-up. Knows bytes, not tokens.
 *
 * A stack is what must follow when the current terminal has ended; equal stacks are one number. A thread is a state
 * within a terminal and the stack behind it. A state is a set of threads: the grammar may be ambiguous.
 */
import { ParameterError } from "../../base/errors.ts";
import { analyze, type GrammarNodes, type NodeId } from "./nodes.ts";
import { DEAD } from "./regex/automaton.ts";

/** The state of a text that the grammar does not begin with. */
export const REFUSED = 0;
const UNKNOWN = -1;
/** Stacks that may be open at one place; more are left recursion through something empty, or ambiguity without end. */
const MAX_OPEN = 20_000;
/** Pairs of numbers below 2^26 as one number. */
const PAIR = 2 ** 26;

interface Opened {
  readonly threads: readonly number[];
  readonly ends: boolean;
}

export class Machine {
  readonly grammar: GrammarNodes;
  readonly start: number;
  /** Of each state: threads, ascending. */
  readonly threads: (readonly number[])[] = [[]];
  /** Of each state: whether the text may end here. */
  readonly ends: boolean[] = [false];
  /** Of each thread: the state of the automaton, and the stack. */
  readonly positions: number[] = [];
  readonly stacks: number[] = [];
  readonly #nodes: GrammarNodes["nodes"];
  readonly #productive: boolean[];
  /** Of each stack: its top node and the stack below; stack 0 is empty. */
  readonly #tops: NodeId[] = [-1];
  readonly #below: number[] = [0];
  readonly #stackIds = new Map<number, number>();
  readonly #threadIds = new Map<number, number>();
  readonly #stateIds = new Map<string, number>();
  readonly #opened: (Opened | undefined)[] = [{ threads: [], ends: true }];
  #next = new Int32Array(256 * 64).fill(UNKNOWN);

  constructor(grammar: GrammarNodes, root: NodeId) {
    this.grammar = grammar;
    this.#nodes = grammar.nodes;
    this.#productive = analyze(grammar).productive;
    this.#next.fill(REFUSED, 0, 256);
    this.start = this.open([this.#push(root, 0)]);
  }

  get states(): number {
    return this.threads.length;
  }

  step(state: number, byte: number): number {
    const known = this.#next[256 * state + byte]!;
    if (known !== UNKNOWN) return known;
    const { automaton } = this.grammar;
    const threads: number[] = [];
    let ends = false;
    for (const thread of this.threads[state]!) {
      const position = automaton.step(this.positions[thread]!, byte);
      if (position === DEAD) continue;
      const stack = this.stacks[thread]!;
      if (automaton.final[position] === 0) threads.push(this.#thread(position, stack));
      if (automaton.accepting[position] === 0) continue;
      const opened = this.#open(stack);
      for (const more of opened.threads) threads.push(more);
      ends ||= opened.ends;
    }
    const next = threads.length === 0 && !ends ? REFUSED : this.#state(threads, ends);
    this.#next[256 * state + byte] = next;
    return next;
  }

  /** The state in which any of the stacks may go on. */
  open(stacks: readonly number[]): number {
    const all = stacks.map((stack) => this.#open(stack));
    return this.#state(
      all.flatMap(({ threads }) => threads),
      all.some(({ ends }) => ends),
    );
  }

  /** States of another machine over the same grammar, as states of this one. */
  carry(from: Machine, states: readonly number[]): number[] {
    const stacks = new Map<number, number>([[0, 0]]);
    const stack = (old: number): number => {
      const path: number[] = [];
      let at = old;
      for (; !stacks.has(at); at = from.#below[at]!) path.push(at);
      let known = stacks.get(at)!;
      for (const above of path.reverse()) {
        known = this.#push(from.#tops[above]!, known);
        stacks.set(above, known);
      }
      return known;
    };
    return states.map((state) =>
      this.#state(
        from.threads[state]!.map((thread) =>
          this.#thread(from.positions[thread]!, stack(from.stacks[thread]!)),
        ),
        from.ends[state]!,
      ),
    );
  }

  #state(threads: readonly number[], ends: boolean): number {
    const sorted = threads.length > 1 ? [...new Set(threads)].sort((a, b) => a - b) : threads;
    if (sorted.length === 0 && !ends) return REFUSED;
    const key = `${ends ? "." : ""}${sorted}`;
    const known = this.#stateIds.get(key);
    if (known !== undefined) return known;
    const state = this.threads.length;
    this.threads.push(sorted);
    this.ends.push(ends);
    this.#stateIds.set(key, state);
    if (256 * (state + 1) > this.#next.length) {
      const grown = new Int32Array(2 * this.#next.length).fill(UNKNOWN, this.#next.length);
      grown.set(this.#next);
      this.#next = grown;
    }
    return state;
  }

  #thread(position: number, stack: number): number {
    const key = position * PAIR + stack;
    const known = this.#threadIds.get(key);
    if (known !== undefined) return known;
    this.positions.push(position);
    this.stacks.push(stack);
    this.#threadIds.set(key, this.positions.length - 1);
    return this.positions.length - 1;
  }

  #push(node: NodeId, below: number): number {
    const key = node * PAIR + below;
    const known = this.#stackIds.get(key);
    if (known !== undefined) return known;
    this.#tops.push(node);
    this.#below.push(below);
    this.#stackIds.set(key, this.#tops.length - 1);
    return this.#tops.length - 1;
  }

  /** The terminals that a stack may begin with, each with what follows it. */
  #open(stack: number): Opened {
    const known = this.#opened[stack];
    if (known !== undefined) return known;
    const { automaton } = this.grammar;
    const threads: number[] = [];
    let ends = false;
    const seen = new Set<number>([stack]);
    const todo = [stack];
    const go = (next: number): void => {
      if (seen.has(next)) return;
      seen.add(next);
      todo.push(next);
    };
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      if (seen.size > MAX_OPEN)
        throw new ParameterError(
          "grammar",
          `can go on in more than ${MAX_OPEN} ways at one place: it is ambiguous without end, or recurses on the left through something that may be empty`,
        );
      if (at === 0) {
        ends = true;
        continue;
      }
      const below = this.#below[at]!;
      const id = this.#tops[at]!;
      const node = this.#nodes[id]!;
      switch (node.kind) {
        case "terminal":
          threads.push(this.#thread(node.state, below));
          if (automaton.accepting[node.state] === 1) go(below);
          break;
        case "sequence":
          if (node.parts.every((part) => this.#isProductive(part)))
            go(node.parts.reduceRight((rest, part) => this.#push(part, rest), below));
          break;
        case "choice":
          for (const part of node.parts) if (this.#isProductive(part)) go(this.#push(part, below));
          break;
        case "repeat":
          if (node.min === 0) go(below);
          if (this.#isProductive(node.part)) {
            const rest = this.grammar.repeat(node.part, Math.max(0, node.min - 1), node.max - 1);
            go(this.#push(node.part, rest === this.grammar.empty ? below : this.#push(rest, below)));
          }
          break;
        case "rule":
          if (this.#isProductive(node.body)) go(this.#push(node.body, below));
          break;
        default:
          node satisfies never;
      }
    }
    const opened = { threads, ends };
    this.#opened[stack] = opened;
    return opened;
  }

  /** Nodes that were made while running are counted repetitions, which are as productive as those they came from. */
  #isProductive(node: NodeId): boolean {
    return this.#productive[node] ?? true;
  }
}
