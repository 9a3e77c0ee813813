/**
 * What notations of grammars with named rules share: a reader of characters with good errors, rules that may be used
 * before they are defined, and the removal of recursion on the left.
 */
import { ParameterError } from "../../base/errors.ts";
import { removeLeftRecursion } from "./left-recursion.ts";
import type { GrammarNodes, NodeId } from "./nodes.ts";

export class TextReader {
  readonly text: string;
  at = 0;
  readonly #notation: string;

  constructor(text: string, notation: string) {
    this.text = text;
    this.#notation = notation;
  }

  fail(problem: string, at = this.at): never {
    const before = this.text.slice(0, at).split("\n");
    throw new ParameterError(
      "grammar",
      `${problem}, in line ${before.length}, column ${before.at(-1)!.length + 1} of the ${this.#notation} grammar`,
    );
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }

  peek(text: string): boolean {
    return this.text.startsWith(text, this.at);
  }

  take(text: string): boolean {
    if (!this.peek(text)) return false;
    this.at += text.length;
    return true;
  }

  /** What the pattern (sticky) matches here, taken. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return undefined;
    this.at += found[0].length;
    return found;
  }

  character(): number {
    const code = this.text.codePointAt(this.at);
    if (code === undefined) return this.fail("the grammar ends too early");
    this.at += code > 0xffff ? 2 : 1;
    return code;
  }
}

/** Named rules of one grammar. */
export class Rules {
  readonly #nodes: GrammarNodes;
  readonly #rules = new Map<string, { readonly node: NodeId; defined: boolean; readonly used: number }>();

  constructor(nodes: GrammarNodes) {
    this.#nodes = nodes;
  }

  /** @param at where it is used, for errors */
  use(name: string, at: number): NodeId {
    let rule = this.#rules.get(name);
    if (rule === undefined) {
      rule = { node: this.#nodes.rule(name), defined: false, used: at };
      this.#rules.set(name, rule);
    }
    return rule.node;
  }

  /** False where the name is taken. */
  define(name: string, body: NodeId): boolean {
    const node = this.use(name, 0);
    const rule = this.#rules.get(name)!;
    if (rule.defined) return false;
    rule.defined = true;
    this.#nodes.define(node, body);
    return true;
  }

  has(name: string): boolean {
    return this.#rules.get(name)?.defined ?? false;
  }

  /** The root, when all rules are defined; recursion on the left is gone. */
  finish(root: string, reader: TextReader): NodeId {
    for (const [name, { defined, used }] of this.#rules)
      if (!defined) reader.fail(`there is no rule "${name}"`, used);
    if (!this.has(root)) reader.fail(`there is no rule "${root}" to begin with`, 0);
    removeLeftRecursion(this.#nodes);
    return this.use(root, 0);
  }
}
