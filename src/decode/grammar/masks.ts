/**
 * Which tokens a grammar allows in a state. Most of the work depends on the state within a terminal alone, and is
 * kept for all grammars of a vocabulary: the tokens that stay inside of the terminal, and the places in the tree of
 * tokens at which it may end. Only from those places on does it matter what follows; that is kept for each grammar.
 *
 * The split of tokens by what they depend on follows Dong et al., "XGrammar: flexible and efficient structured
 * generation engine for large language models", 2024, arXiv 2411.15100, section 3.
 */
import { ParameterError } from "../../base/errors.ts";
import { type Machine, REFUSED } from "./machine.ts";
import { type Automaton, DEAD } from "./regex/automaton.ts";
import type { TokenVocabulary, Trie } from "./trie.ts";

/** Tokens as a list, or as a bit set where there are many. */
interface TokenSet {
  readonly list?: Int32Array;
  readonly bits?: Uint32Array;
}

/** What is known of a state within a terminal, for the tokens of one tree. */
interface Inside extends TokenSet {
  /** Nodes with others below, at which the terminal may have ended. */
  readonly exits: Int32Array;
}

/** Lists of more tokens than this are bit sets. */
const MANY = 1024;
/** New states of a terminal in one walk; a pattern that needs more would stop the program for seconds. */
const MAX_NEW_STATES = 20_000;

/** Bytes of masks that are kept for all grammars, and for one; beyond it they are made anew when needed. */
const KEPT_FOR_ALL = 256 * 2 ** 20;
const KEPT_FOR_ONE = 64 * 2 ** 20;

const bytesOf = ({ bits, list }: TokenSet): number => (bits ?? list)?.byteLength ?? 0;

/** Masks of states within terminals: shared by all grammars over one automaton and vocabulary. */
export class TerminalMasks {
  readonly automaton: Automaton;
  readonly vocabulary: TokenVocabulary;
  /** Room for a walk: states on the way to a node, and the tokens found. */
  readonly path: Int32Array;
  readonly found: Int32Array;
  /** Bits of the tokens found, since one token may leave a terminal at several places. Zero between walks. */
  readonly seen: Uint32Array;
  readonly #short = new Map<number, Inside>();
  readonly #long = new Map<number, Inside>();
  #bytes = 0;
  /** How often the masks were given up. */
  renewals = 0;

  constructor(automaton: Automaton, vocabulary: TokenVocabulary) {
    this.automaton = automaton;
    this.vocabulary = vocabulary;
    this.path = new Int32Array(Math.max(vocabulary.short.height, vocabulary.long.height) + 1);
    this.found = new Int32Array(vocabulary.size);
    this.seen = new Uint32Array(vocabulary.words);
  }

  short(state: number): Inside {
    const known = this.#short.get(state);
    if (known !== undefined) return known;
    const { automaton, vocabulary } = this;
    // Counts that no short token can reach make no difference to short tokens.
    const simpler = automaton.expressions.forgetful(automaton.exprOf(state), vocabulary.shortLength);
    const same = simpler === undefined ? state : automaton.state(simpler);
    const inside = this.#short.get(same) ?? this.#walk(vocabulary.short, same);
    this.#short.set(same, inside);
    this.#short.set(state, inside);
    return inside;
  }

  long(state: number): Inside {
    let inside = this.#long.get(state);
    if (inside === undefined) {
      inside = this.#walk(this.vocabulary.long, state);
      this.#long.set(state, inside);
    }
    return inside;
  }

  #walk(trie: Trie, state: number): Inside {
    const { bytes, depths, ends, firsts, tokens, nodes } = trie;
    const { automaton, path, found } = this;
    let { next, accepting } = automaton;
    const most = automaton.states + MAX_NEW_STATES;
    let count = 0;
    const exits: number[] = [];
    path[0] = state;
    for (let node = 1; node < nodes; ) {
      const depth = depths[node]!;
      const from = path[depth - 1]!;
      let to = next[256 * from + bytes[node]!]!;
      if (to < 0) {
        to = automaton.fill(from, bytes[node]!);
        if (automaton.states > most)
          throw new ParameterError(
            "grammar",
            `a pattern needs more than ${MAX_NEW_STATES} states for one token; simplify it`,
          );
        ({ next, accepting } = automaton);
      }
      if (to === DEAD) {
        node = ends[node]!;
        continue;
      }
      path[depth] = to;
      for (let t = firsts[node]!, last = firsts[node + 1]!; t < last; t++) found[count++] = tokens[t]!;
      if (accepting[to] === 1 && ends[node]! > node + 1) exits.push(node);
      node++;
    }
    const set = tokenSet(found.subarray(0, count), this.vocabulary.words);
    this.#bytes += bytesOf(set) + 4 * exits.length;
    if (this.#bytes > KEPT_FOR_ALL) {
      this.#short.clear();
      this.#long.clear();
      this.#bytes = 0;
      this.renewals++;
    }
    return { ...set, exits: Int32Array.from(exits) };
  }
}

function tokenSet(tokens: Int32Array, words: number): TokenSet {
  if (tokens.length <= MANY) return { list: tokens.slice() };
  const bits = new Uint32Array(words);
  for (const token of tokens) bits[token >> 5]! |= 1 << (token & 31);
  return { bits };
}

function addTo(mask: Uint32Array, { bits, list }: TokenSet): void {
  if (bits !== undefined) for (let i = 0; i < bits.length; i++) mask[i]! |= bits[i]!;
  else if (list !== undefined) for (const token of list) mask[token >> 5]! |= 1 << (token & 31);
}

/** Masks of the states of one grammar. */
export class GrammarMasks {
  readonly machine: Machine;
  readonly #terminals: TerminalMasks;
  readonly #states = new Map<number, readonly TokenSet[]>();
  /** Tokens that leave a terminal, by its state and the state that follows. */
  readonly #leaving = new Map<string, TokenSet>();
  /** Of the lists in #leaving, and about what a state takes besides. */
  #bytes = 0;
  #renewals = 0;

  constructor(machine: Machine, terminals: TerminalMasks) {
    this.machine = machine;
    this.#terminals = terminals;
  }

  /** Sets the bits of the tokens that may come next, and clears all others. */
  fill(state: number, mask: Uint32Array): void {
    let parts = this.#states.get(state);
    if (parts === undefined) {
      parts = this.#partsOf(state);
      this.#bytes += 200;
      // States hold on to masks of terminals, which must go when the others' go.
      if (this.#bytes > KEPT_FOR_ONE || this.#renewals !== this.#terminals.renewals) {
        this.#states.clear();
        this.#leaving.clear();
        this.#bytes = 0;
        this.#renewals = this.#terminals.renewals;
      }
      this.#states.set(state, parts);
    }
    mask.fill(0);
    for (const part of parts) addTo(mask, part);
  }

  #partsOf(state: number): TokenSet[] {
    const { machine } = this;
    /** Stacks by the state within the terminal. */
    const stacks = new Map<number, number[]>();
    for (const thread of machine.threads[state]!) {
      const position = machine.positions[thread]!;
      const behind = stacks.get(position);
      if (behind === undefined) stacks.set(position, [machine.stacks[thread]!]);
      else behind.push(machine.stacks[thread]!);
    }
    const parts: TokenSet[] = [];
    for (const [position, behind] of stacks) {
      const short = this.#terminals.short(position);
      const long = this.#terminals.long(position);
      parts.push(short, long);
      if (short.exits.length + long.exits.length > 0)
        parts.push(this.#leavingOf(position, machine.open(behind), short, long));
    }
    return parts;
  }

  #leavingOf(position: number, after: number, short: Inside, long: Inside): TokenSet {
    const key = `${position},${after}`;
    let leaving = this.#leaving.get(key);
    if (leaving === undefined) {
      const { vocabulary, seen } = this.#terminals;
      let count = 0;
      try {
        count = this.#walk(vocabulary.short, short.exits, after, 0);
        count = this.#walk(vocabulary.long, long.exits, after, count);
      } catch (error) {
        // A grammar that goes on without end leaves no bits behind for others.
        seen.fill(0);
        throw error;
      }
      const found = this.#terminals.found.subarray(0, count);
      for (const token of found) seen[token >> 5] = 0;
      leaving = tokenSet(found, vocabulary.words);
      this.#bytes += bytesOf(leaving);
      this.#leaving.set(key, leaving);
    }
    return leaving;
  }

  /** Finds the tokens below the exits that go on from the state `after`. */
  #walk(trie: Trie, exits: Int32Array, after: number, before: number): number {
    const { bytes, depths, ends, firsts, tokens } = trie;
    const { machine } = this;
    const { path, found, seen } = this.#terminals;
    let count = before;
    for (const exit of exits) {
      path[depths[exit]!] = after;
      for (let node = exit + 1, last = ends[exit]!; node < last; ) {
        const depth = depths[node]!;
        const to = machine.step(path[depth - 1]!, bytes[node]!);
        if (to === REFUSED) {
          node = ends[node]!;
          continue;
        }
        path[depth] = to;
        for (let t = firsts[node]!, end = firsts[node + 1]!; t < end; t++) {
          const token = tokens[t]!;
          if ((seen[token >> 5]! >>> (token & 31)) & 1) continue;
          seen[token >> 5]! |= 1 << (token & 31);
          found[count++] = token;
        }
        node++;
      }
    }
    return count;
  }
}
