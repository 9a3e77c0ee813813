/**
 * A grammar as nodes: terminals are regular expressions over bytes, all else says how they follow one another. Every
 * notation is compiled to this form. Knows neither notations nor tokens.
 */
import { ParameterError } from "../../base/errors.ts";
import { type Automaton, DEAD } from "./regex/automaton.ts";
import type { Expr } from "./regex/expressions.ts";

export type NodeId = number;

export type GrammarNode =
  | { readonly kind: "terminal"; readonly state: number }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly NodeId[] }
  | { readonly kind: "repeat"; readonly part: NodeId; readonly min: number; readonly max: number }
  /** A name for another node, so that nodes can contain themselves. */
  | { readonly kind: "rule"; readonly name: string; body: NodeId };

/** More nodes are refused: a grammar of this size is an attack or a slip. */
const MAX_NODES = 1_000_000;

export class GrammarNodes {
  readonly automaton: Automaton;
  readonly nodes: GrammarNode[] = [];
  readonly #ids = new Map<string, NodeId>();
  /** Matches the empty text only. */
  readonly empty: NodeId;
  /** Matches nothing. */
  readonly nothing: NodeId;

  constructor(automaton: Automaton) {
    this.automaton = automaton;
    this.empty = this.#add("s", { kind: "sequence", parts: [] });
    this.nothing = this.#add("c", { kind: "choice", parts: [] });
  }

  #add(key: string, node: GrammarNode): NodeId {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    if (this.nodes.length >= MAX_NODES)
      throw new ParameterError("grammar", `needs more than ${MAX_NODES} parts; simplify it`);
    this.nodes.push(node);
    this.#ids.set(key, this.nodes.length - 1);
    return this.nodes.length - 1;
  }

  terminal(e: Expr): NodeId {
    const state = this.automaton.state(e);
    if (state === DEAD) return this.nothing;
    if (this.automaton.final[state] === 1) return this.empty;
    return this.#add(`t${state}`, { kind: "terminal", state });
  }

  sequence(parts: readonly NodeId[]): NodeId {
    if (parts.includes(this.nothing)) return this.nothing;
    const kept = parts.filter((part) => part !== this.empty);
    if (kept.length === 1) return kept[0]!;
    return this.#add(`s${kept}`, { kind: "sequence", parts: kept });
  }

  choice(parts: readonly NodeId[]): NodeId {
    const kept = [...new Set(parts)].filter((part) => part !== this.nothing);
    if (kept.length === 1) return kept[0]!;
    return this.#add(`c${kept}`, { kind: "choice", parts: kept });
  }

  optional(part: NodeId): NodeId {
    return this.choice([part, this.empty]);
  }

  repeat(part: NodeId, min: number, max = Number.POSITIVE_INFINITY): NodeId {
    if (max < min) return this.nothing;
    if (part === this.nothing) return min === 0 ? this.empty : this.nothing;
    if (max === 0 || part === this.empty) return this.empty;
    if (min === 1 && max === 1) return part;
    return this.#add(`r${part},${min},${max}`, { kind: "repeat", part, min, max });
  }

  /** A rule that is defined later, by `define`. */
  rule(name: string): NodeId {
    this.nodes.push({ kind: "rule", name, body: this.nothing });
    return this.nodes.length - 1;
  }

  define(rule: NodeId, body: NodeId): void {
    const node = this.nodes[rule]!;
    if (node.kind === "rule") node.body = body;
  }
}

/** Which nodes match the empty text, and which match anything at all: least fixed points over all nodes. */
export function analyze({ nodes, automaton }: GrammarNodes): { nullable: boolean[]; productive: boolean[] } {
  const fixedPoint = (holds: (node: GrammarNode, known: readonly boolean[]) => boolean): boolean[] => {
    const known: boolean[] = nodes.map(() => false);
    for (let changed = true; changed; ) {
      changed = false;
      for (let id = 0; id < nodes.length; id++)
        if (!known[id] && holds(nodes[id]!, known)) {
          known[id] = true;
          changed = true;
        }
    }
    return known;
  };
  const through =
    (terminal: (state: number) => boolean) =>
    (node: GrammarNode, known: readonly boolean[]): boolean => {
      switch (node.kind) {
        case "terminal":
          return terminal(node.state);
        case "sequence":
          return node.parts.every((part) => known[part]);
        case "choice":
          return node.parts.some((part) => known[part]);
        case "repeat":
          return node.min === 0 || known[node.part]!;
        case "rule":
          return known[node.body]!;
        default:
          return node satisfies never;
      }
    };
  return {
    nullable: fixedPoint(through((state) => automaton.accepting[state] === 1)),
    productive: fixedPoint(through(() => true)),
  };
}
