/**
 * GBNF, the notation of llama.cpp: rules of literals, sets of characters, groups and repetitions. Read from its
 * description; recursion on the left works here.
 */
import type { GrammarNodes, NodeId } from "./nodes.ts";
import { ALL, type CodePoints, complement, fromRanges } from "./regex/code-points.ts";
import { literalOf, utf8Of } from "./regex/utf8.ts";
import { Rules, TextReader } from "./rules.ts";

const MAX_COUNT = 100_000;
const ESCAPES: Readonly<Record<string, number>> = {
  n: 10,
  r: 13,
  t: 9,
  "\\": 92,
  '"': 34,
  "[": 91,
  "]": 93,
  "-": 45,
  "^": 94,
};

export function gbnfGrammar(nodes: GrammarNodes, source: string, root = "root"): NodeId {
  return new GbnfReader(nodes, source).read(root);
}

class GbnfReader {
  readonly #nodes: GrammarNodes;
  readonly #in: TextReader;
  readonly #rules: Rules;
  #depth = 0;

  constructor(nodes: GrammarNodes, source: string) {
    this.#nodes = nodes;
    this.#in = new TextReader(source, "GBNF");
    this.#rules = new Rules(nodes);
  }

  read(root: string): NodeId {
    this.#space(true);
    while (!this.#in.done) {
      const at = this.#in.at;
      const name = this.#name() ?? this.#in.fail("a rule must begin with its name");
      this.#space(false);
      if (!this.#in.take("::=")) this.#in.fail('"::=" must follow the name of a rule');
      this.#space(true);
      const body = this.#alternatives(false);
      if (!this.#rules.define(name, body)) this.#in.fail(`the rule "${name}" is defined twice`, at);
      if (!this.#in.done && !this.#in.match(/\r?\n/y)) this.#in.fail("a rule must end with its line");
      this.#space(true);
    }
    return this.#rules.finish(root, this.#in);
  }

  #space(lines: boolean): void {
    this.#in.match(lines ? /(?:[ \t\r\n]|#[^\r\n]*)*/y : /(?:[ \t]|#[^\r\n]*)*/y);
  }

  #name(): string | undefined {
    return this.#in.match(/[a-zA-Z0-9-]+/y)?.[0];
  }

  /** @param nested within parentheses, where lines may end anywhere */
  #alternatives(nested: boolean): NodeId {
    if (++this.#depth > 200) this.#in.fail("more than 200 groups in one another");
    const ways = [this.#sequence(nested)];
    while (this.#in.take("|")) {
      this.#space(true);
      ways.push(this.#sequence(nested));
    }
    this.#depth--;
    return this.#nodes.choice(ways);
  }

  #sequence(nested: boolean): NodeId {
    const parts: NodeId[] = [];
    for (;;) {
      const part = this.#part();
      if (part === undefined) return this.#nodes.sequence(parts);
      parts.push(this.#repeated(part));
      this.#space(nested);
      // A line that goes on with "|" belongs to the rule.
      const at = this.#in.at;
      this.#space(true);
      if (!nested && !this.#in.peek("|")) this.#in.at = at;
    }
  }

  #part(): NodeId | undefined {
    const { expressions } = this.#nodes.automaton;
    if (this.#in.take('"')) {
      let text = "";
      while (!this.#in.take('"')) text += String.fromCodePoint(this.#character());
      return this.#nodes.terminal(literalOf(expressions, text));
    }
    if (this.#in.take("[")) return this.#nodes.terminal(utf8Of(expressions, this.#set()));
    if (this.#in.take(".")) return this.#nodes.terminal(utf8Of(expressions, ALL));
    if (this.#in.take("(")) {
      this.#space(true);
      const inner = this.#alternatives(true);
      if (!this.#in.take(")")) this.#in.fail('"(" without ")"');
      return inner;
    }
    const at = this.#in.at;
    if (this.#in.match(/[a-zA-Z0-9-]+[ \t]*::=/y)) {
      this.#in.at = at;
      return undefined;
    }
    const name = this.#name();
    if (name !== undefined) return this.#rules.use(name, at);
    if (this.#in.peek("<") || this.#in.peek("!<"))
      this.#in.fail("tokens (<...>) are not supported; write their text");
    return undefined;
  }

  #repeated(part: NodeId): NodeId {
    const found = this.#in.match(/[*+?]|\{[ \t]*(\d+)[ \t]*(,?)[ \t]*(\d*)[ \t]*\}/y);
    if (found === undefined) return part;
    const [sign, low, comma, high] = found;
    if (low === undefined)
      return this.#repeated(
        this.#nodes.repeat(part, sign === "+" ? 1 : 0, sign === "?" ? 1 : Number.POSITIVE_INFINITY),
      );
    const min = Number(low);
    const max = comma === "" ? min : high === "" ? Number.POSITIVE_INFINITY : Number(high);
    if (min > MAX_COUNT || (max !== Number.POSITIVE_INFINITY && max > MAX_COUNT))
      this.#in.fail(`counts above ${MAX_COUNT} are not supported`);
    if (max < min) this.#in.fail("the numbers of a repetition are out of order");
    return this.#repeated(this.#nodes.repeat(part, min, max));
  }

  #set(): CodePoints {
    const negated = this.#in.take("^");
    const ranges: [number, number][] = [];
    while (!this.#in.take("]")) {
      const low = this.#character();
      let high = low;
      if (this.#in.peek("-") && !this.#in.peek("-]")) {
        this.#in.at++;
        high = this.#character();
      }
      if (high < low) this.#in.fail("a range is out of order");
      ranges.push([low, high]);
    }
    const points = fromRanges(ranges);
    return negated ? complement(points) : points;
  }

  #character(): number {
    if (this.#in.peek("\n")) this.#in.fail("a literal or set must end in its line");
    if (!this.#in.take("\\")) return this.#in.character();
    const hex = this.#in.match(/x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})/y);
    if (hex !== undefined) {
      const code = Number.parseInt((hex[1] ?? hex[2] ?? hex[3])!, 16);
      if (code > 0x10ffff) this.#in.fail("no such character");
      return code;
    }
    const letter = this.#in.text[this.#in.at] ?? "";
    const known = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    if (known === undefined) return this.#in.fail(`the escape "\\${letter}" is not known`);
    this.#in.at++;
    return known;
  }
}
