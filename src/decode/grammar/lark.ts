/**
 * The common part of Lark's notation: rules and terminals, literals and patterns with flags, groups, repetitions,
 * %ignore and the imports of its common terminals. A text is accepted when any way to cut it into terminals fits:
 * as with Lark's dynamic lexer, no terminal wins over another.
 */
import type { GrammarNodes, NodeId } from "./nodes.ts";
import { lower } from "./regex/lower.ts";
import { parsePattern } from "./regex/pattern.ts";
import { utf8Of } from "./regex/utf8.ts";
import { Rules, TextReader } from "./rules.ts";

/** Terminals of Lark's `common` module, as patterns. */
const COMMON: Readonly<Record<string, string>> = {
  DIGIT: "[0-9]",
  HEXDIGIT: "[0-9a-fA-F]",
  INT: "[0-9]+",
  SIGNED_INT: "[+-]?[0-9]+",
  DECIMAL: "(?:[0-9]+\\.[0-9]*|\\.[0-9]+)",
  FLOAT: "(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)",
  SIGNED_FLOAT: "[+-]?(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)",
  NUMBER: "(?:[0-9]+|[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)",
  SIGNED_NUMBER: "[+-]?(?:[0-9]+|[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)",
  ESCAPED_STRING: '"(?:[^"\\\\\\n]|\\\\.)*"',
  LCASE_LETTER: "[a-z]",
  UCASE_LETTER: "[A-Z]",
  LETTER: "[a-zA-Z]",
  WORD: "[a-zA-Z]+",
  CNAME: "[a-zA-Z_][a-zA-Z0-9_]*",
  WS_INLINE: "[ \\t]+",
  WS: "[ \\t\\f\\r\\n]+",
  CR: "\\r",
  LF: "\\n",
  NEWLINE: "(?:\\r?\\n)+",
};

export function larkGrammar(nodes: GrammarNodes, source: string, start = "start"): NodeId {
  return new LarkReader(nodes, source).read(start);
}

class LarkReader {
  readonly #nodes: GrammarNodes;
  readonly #in: TextReader;
  readonly #rules: Rules;
  /** What may stand between terminals: known only when all is read. */
  readonly #ignored: NodeId;
  readonly #ignores: NodeId[] = [];
  #inTerminal = false;
  #depth = 0;

  constructor(nodes: GrammarNodes, source: string) {
    this.#nodes = nodes;
    this.#in = new TextReader(source, "Lark");
    this.#rules = new Rules(nodes);
    this.#ignored = nodes.rule("%ignore");
  }

  read(start: string): NodeId {
    for (this.#lines(); !this.#in.done; this.#lines()) {
      if (this.#in.take("%ignore")) this.#ignore();
      else if (this.#in.take("%import")) this.#import();
      else if (this.#in.peek("%")) this.#in.fail(`${this.#in.match(/%\w*/y)![0]} is not supported`);
      else this.#definition();
    }
    this.#nodes.define(this.#ignored, this.#nodes.repeat(this.#nodes.choice(this.#ignores), 0));
    const root = this.#nodes.rule("start with what is ignored");
    this.#nodes.define(root, this.#nodes.sequence([this.#ignored, this.#rules.use(start, 0)]));
    this.#rules.finish(start, this.#in);
    return root;
  }

  #lines(): void {
    this.#in.match(/(?:[ \t\r\n]|\/\/[^\n]*|#[^\n]*)*/y);
  }

  #blanks(): void {
    this.#in.match(/(?:[ \t]|\/\/[^\n]*)*/y);
  }

  #ignore(): void {
    this.#blanks();
    this.#inTerminal = true;
    this.#ignores.push(this.#alternatives());
    this.#inTerminal = false;
  }

  #import(): void {
    this.#blanks();
    const at = this.#in.at;
    const found = this.#in.match(/common\.(\w+)(?:[ \t]*->[ \t]*(\w+))?|common[ \t]*\(([^)]*)\)/y);
    if (found === undefined) this.#in.fail("only terminals of common can be imported");
    const [, single, as, list] = found;
    for (const name of single !== undefined ? [single] : list!.split(",").map((part) => part.trim())) {
      const pattern = Object.hasOwn(COMMON, name)
        ? COMMON[name]!
        : this.#in.fail(`common has no "${name}"`, at);
      if (!this.#rules.define(as ?? name, this.#pattern(pattern, false)))
        this.#in.fail(`"${as ?? name}" is defined twice`, at);
    }
  }

  #definition(): void {
    const at = this.#in.at;
    // The marks ? and ! before a rule shape the tree, which is not made here.
    const found = this.#in.match(/[?!]*(_?[a-z][a-z0-9_]*|_?[A-Z][A-Z0-9_]*)(?:\.(-?\d+))?[ \t]*/y);
    if (found === undefined) this.#in.fail("a rule or terminal must begin with its name");
    if (this.#in.peek("{")) this.#in.fail("templates are not supported");
    if (!this.#in.take(":")) this.#in.fail('":" must follow the name');
    const name = found[1]!;
    this.#inTerminal = isTerminal(name);
    const body = this.#alternatives();
    this.#inTerminal = false;
    if (!this.#rules.define(name, body)) this.#in.fail(`"${name}" is defined twice`, at);
  }

  #alternatives(): NodeId {
    if (++this.#depth > 200) this.#in.fail("more than 200 groups in one another");
    const ways: NodeId[] = [];
    do {
      this.#blanks();
      ways.push(this.#sequence());
      const at = this.#in.at;
      this.#lines();
      if (!this.#in.peek("|")) this.#in.at = at;
    } while (this.#in.take("|"));
    this.#depth--;
    return this.#nodes.choice(ways);
  }

  #sequence(): NodeId {
    const parts: NodeId[] = [];
    for (;;) {
      this.#blanks();
      const part = this.#part();
      if (part === undefined) break;
      parts.push(this.#repeated(part));
    }
    this.#in.match(/[ \t]*->[ \t]*\w+/y);
    return this.#nodes.sequence(parts);
  }

  #part(): NodeId | undefined {
    const at = this.#in.at;
    if (this.#in.take("(")) return this.#group(")");
    if (this.#in.take("[")) return this.#nodes.optional(this.#group("]"));
    const text = this.#in.match(/("(?:[^"\\\n]|\\.)*")(i?)/y);
    if (text !== undefined) {
      const high = this.#in.match(/[ \t]*\.\.[ \t]*("(?:[^"\\\n]|\\.)*")/y);
      const low = this.#literal(text[1]!, at);
      if (high === undefined) return this.#closed(this.#pattern(escaped(low), text[2] === "i"));
      const [from, to] = [low, this.#literal(high[1]!, at)];
      if ([...from].length !== 1 || [...to].length !== 1)
        this.#in.fail("a range needs a character at each end", at);
      return this.#closed(this.#pattern(`[${escaped(from)}-${escaped(to)}]`, false));
    }
    const pattern = this.#in.match(/\/((?:[^/\\\n]|\\.)+)\/([imslux]*)/y);
    if (pattern !== undefined) {
      const [, source, flags] = pattern;
      const unknown = flags!.replace(/[iu]/g, "")[0];
      if (unknown !== undefined) this.#in.fail(`the flag "${unknown}" of a pattern is not supported`, at);
      return this.#closed(
        this.#pattern(source!.replaceAll("\\/", "/").replaceAll('\\"', '"'), flags!.includes("i")),
      );
    }
    const name = this.#in.match(/[?!]*(\w+)/y)?.[1];
    if (name === undefined) return undefined;
    if (this.#in.peek("{")) this.#in.fail("templates are not supported");
    const node = this.#rules.use(name, at);
    return isTerminal(name) ? this.#closed(node) : node;
  }

  /** Behind a terminal, within a rule, stands what is ignored. */
  #closed(node: NodeId): NodeId {
    return this.#inTerminal ? node : this.#nodes.sequence([node, this.#ignored]);
  }

  #group(end: string): NodeId {
    const inner = this.#alternatives();
    this.#lines();
    if (!this.#in.take(end)) this.#in.fail(`"${end}" is missing`);
    return inner;
  }

  #repeated(part: NodeId): NodeId {
    const found = this.#in.match(/[*+?]|[ \t]*~[ \t]*(\d+)(?:[ \t]*\.\.[ \t]*(\d+))?/y);
    if (found === undefined) return part;
    const [sign, low, high] = found;
    if (low === undefined)
      return this.#nodes.repeat(part, sign === "+" ? 1 : 0, sign === "?" ? 1 : Number.POSITIVE_INFINITY);
    const [min, max] = [Number(low), Number(high ?? low)];
    if (max < min || max > 100_000) this.#in.fail("the numbers of a repetition must be in order, to 100000");
    return this.#nodes.repeat(part, min, max);
  }

  #literal(quoted: string, at: number): string {
    try {
      return JSON.parse(quoted.replace(/\\x([0-9a-fA-F]{2})/g, "\\u00$1").replaceAll("\\'", "'")) as string;
    } catch {
      return this.#in.fail(`${quoted} has an escape that is not known`, at);
    }
  }

  #pattern(source: string, ignoreCase: boolean): NodeId {
    const { expressions } = this.#nodes.automaton;
    const parsed = parsePattern(source, "grammar", { ignoreCase });
    const encode = (points: Parameters<typeof utf8Of>[1]) => utf8Of(expressions, points);
    return this.#nodes.terminal(lower(expressions, parsed, encode, { whole: true, where: "grammar" }));
  }
}

const isTerminal = (name: string): boolean => /^_?[A-Z]/.test(name);

/** A text as a pattern of itself. */
const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
