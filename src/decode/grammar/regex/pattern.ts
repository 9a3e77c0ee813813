/**
 * Reads a pattern of ECMA-262 (with the `u` flag, as JSON Schema has it) into a tree over sets of code points.
 * What no automaton can do (looking around, looking back) is refused by name. Knows nothing of bytes.
 */
import { ParameterError } from "../../../base/errors.ts";
import {
  anyCase,
  type CodePoints,
  complement,
  DIGITS,
  NO_LINE_END,
  property,
  SPACE,
  single,
  union,
  WORD,
} from "./code-points.ts";

export type Pattern =
  | { readonly kind: "set"; readonly points: CodePoints }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly Pattern[] }
  | { readonly kind: "repeat"; readonly part: Pattern; readonly min: number; readonly max: number }
  | { readonly kind: "start" | "end" };

const MAX_DEPTH = 200;
/** Larger counts are refused: they are slips or attacks. */
export const MAX_COUNT = 100_000;

/** Characters of a pattern: much longer ones take seconds to compile. */
const MAX_LENGTH = 10_000;

const CONTROL: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, "0": 0 };

/** @param where names the parameter in errors */
export function parsePattern(source: string, where = "regex", flags: { ignoreCase?: boolean } = {}): Pattern {
  if (source.length > MAX_LENGTH)
    throw new ParameterError(
      where,
      `a pattern has ${source.length} characters; at most ${MAX_LENGTH} are taken`,
    );
  return new PatternParser(source, where, flags.ignoreCase ?? false).parse();
}

class PatternParser {
  readonly #source: string;
  readonly #where: string;
  readonly #ignoreCase: boolean;
  #at = 0;
  #depth = 0;

  constructor(source: string, where: string, ignoreCase: boolean) {
    this.#source = source;
    this.#where = where;
    this.#ignoreCase = ignoreCase;
  }

  parse(): Pattern {
    const pattern = this.#choice();
    if (this.#at < this.#source.length) this.#fail(`")" without "("`);
    return pattern;
  }

  #fail(problem: string): never {
    const shown = this.#source.length > 80 ? `${this.#source.slice(0, 77)}...` : this.#source;
    throw new ParameterError(
      this.#where,
      `${problem}, at character ${this.#at} of the pattern ${JSON.stringify(shown)}`,
    );
  }

  #peek(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(): Pattern {
    if (++this.#depth > MAX_DEPTH) this.#fail(`more than ${MAX_DEPTH} groups in one another`);
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    while (this.#at < this.#source.length && !this.#peek("|") && !this.#peek(")"))
      parts.push(this.#quantified(this.#atom()));
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  #atom(): Pattern {
    if (this.#take("^")) return { kind: "start" };
    if (this.#take("$")) return { kind: "end" };
    if (this.#take(".")) return { kind: "set", points: NO_LINE_END };
    if (this.#take("[")) return { kind: "set", points: this.#set() };
    if (this.#take("(")) return this.#group();
    if (this.#peek("*") || this.#peek("+") || this.#peek("?")) this.#fail("nothing to repeat");
    if (this.#peek("\\b") || this.#peek("\\B")) this.#fail("\\b and \\B (word borders) are not supported");
    if (/^\\(?:[1-9]|k<)/.test(this.#source.slice(this.#at, this.#at + 3)))
      this.#fail("references back to a group are not supported");
    if (this.#take("\\")) return { kind: "set", points: this.#cased(this.#escape(false)) };
    return { kind: "set", points: this.#cased(single(this.#character())) };
  }

  #group(): Pattern {
    if (this.#peek("?=") || this.#peek("?!") || this.#peek("?<=") || this.#peek("?<!"))
      this.#fail("looking ahead or behind is not supported");
    if (!this.#take("?:")) {
      const name = /^\?<[\p{ID_Start}$_][\p{ID_Continue}$]*>/u.exec(this.#source.slice(this.#at));
      if (name) this.#at += name[0].length;
      else if (this.#peek("?"))
        this.#fail(`the group "(${this.#source.slice(this.#at, this.#at + 2)}" is not known`);
    }
    const inner = this.#choice();
    if (!this.#take(")")) this.#fail(`"(" without ")"`);
    return inner;
  }

  #quantified(part: Pattern): Pattern {
    const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(this.#source.slice(this.#at, this.#at + 40));
    if (!found) return part;
    if (part.kind === "start" || part.kind === "end") this.#fail("nothing to repeat");
    this.#at += found[0].length;
    this.#take("?"); // which match is preferred makes no difference here
    const [sign, low, comma, high] = found;
    let [min, max] = [0, Number.POSITIVE_INFINITY];
    if (sign === "+") min = 1;
    else if (sign === "?") max = 1;
    else if (sign !== "*") {
      min = Number(low);
      max = comma === "" ? min : high === "" ? Number.POSITIVE_INFINITY : Number(high);
      if (min > MAX_COUNT || (max > MAX_COUNT && max < Number.POSITIVE_INFINITY))
        this.#fail(`counts above ${MAX_COUNT} are not supported`);
      if (max < min) this.#fail("the numbers of a quantifier are out of order");
    }
    return this.#quantified({ kind: "repeat", part, min, max });
  }

  #character(): number {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) this.#fail("the pattern ends too early");
    this.#at += code > 0xffff ? 2 : 1;
    return code;
  }

  /** What follows a backslash. Inside of a set, \b is a backspace and \- a hyphen. */
  #escape(inSet: boolean): CodePoints {
    const letter = this.#source[this.#at];
    if (letter === undefined) this.#fail("the pattern ends with a backslash");
    const classes: Readonly<Record<string, CodePoints>> = { d: DIGITS, w: WORD, s: SPACE };
    const known = classes[letter.toLowerCase()];
    if (known !== undefined) {
      this.#at++;
      return letter === letter.toLowerCase() ? known : complement(known);
    }
    if (letter === "p" || letter === "P") return this.#property(letter === "P");
    return single(this.#escapedCharacter(inSet));
  }

  #property(negated: boolean): CodePoints {
    const found = /^[pP]\{([^{}]*)\}/.exec(this.#source.slice(this.#at));
    const points = found ? property(found[1]!) : undefined;
    if (!found || points === undefined) this.#fail("\\p needs the name of a Unicode property in braces");
    this.#at += found[0].length;
    return negated ? complement(points) : points;
  }

  #escapedCharacter(inSet: boolean): number {
    const hex =
      /^(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]+)\}|u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/.exec(
        this.#source.slice(this.#at),
      );
    if (hex) {
      this.#at += hex[0].length;
      const [, two, braces, high, low, four] = hex;
      if (high !== undefined && low !== undefined)
        return String.fromCharCode(Number.parseInt(high, 16), Number.parseInt(low, 16)).codePointAt(0)!;
      const code = Number.parseInt((two ?? braces ?? four)!, 16);
      if (code > 0x10ffff) this.#fail("no such character");
      return code;
    }
    const letter = this.#source[this.#at]!;
    if (letter === "c" && /^c[a-zA-Z]/.test(this.#source.slice(this.#at))) {
      this.#at += 2;
      return this.#source.charCodeAt(this.#at - 1) % 32;
    }
    if (letter === "0" && /^0\d/.test(this.#source.slice(this.#at)))
      this.#fail("octal escapes are not supported");
    if (Object.hasOwn(CONTROL, letter)) {
      this.#at++;
      return CONTROL[letter]!;
    }
    if (inSet && letter === "b") {
      this.#at++;
      return 8;
    }
    // The grammar of `u` patterns names these only; others are common in schemas and mean themselves.
    if (/[a-zA-Z0-9]/.test(letter)) this.#fail(`the escape "\\${letter}" is not known`);
    return this.#character();
  }

  #set(): CodePoints {
    const negated = this.#take("^");
    const parts: CodePoints[] = [];
    while (!this.#take("]")) {
      if (this.#at >= this.#source.length) this.#fail(`"[" without "]"`);
      const low = this.#member();
      if (this.#peek("-") && !this.#peek("-]")) {
        this.#at++;
        const high = this.#member();
        const [first, last] = [low[0], high[0]];
        if (low.length !== 2 || low[1] !== first || high.length !== 2 || high[1] !== last)
          this.#fail("a range needs a character at each end");
        if (first! > last!) this.#fail("a range is out of order");
        parts.push([first!, last!]);
      } else parts.push(low);
    }
    const points = this.#cased(union(...parts));
    return negated ? complement(points) : points;
  }

  #member(): CodePoints {
    return this.#take("\\") ? this.#escape(true) : [...Array(2)].fill(this.#character());
  }

  #cased(points: CodePoints): CodePoints {
    return this.#ignoreCase ? anyCase(points) : points;
  }
}
