/** The content of strings: patterns, formats and lengths as expressions over how JSON writes it. */
import type { Automaton } from "../regex/automaton.ts";
import { ALL } from "../regex/code-points.ts";
import type { Expr } from "../regex/expressions.ts";
import { lower } from "../regex/lower.ts";
import { parsePattern } from "../regex/pattern.ts";
import { refusal } from "./document.ts";
import type { Strings } from "./expand.ts";
import { type Facts, STRING } from "./facts.ts";
import { FORMAT_LENGTHS, FORMATS } from "./formats.ts";
import type { StringPatterns } from "./read-facts.ts";
import { contentOf, type JsonText } from "./text.ts";

const utf8 = new TextEncoder();

export class SchemaStrings implements StringPatterns, Strings {
  readonly #automaton: Automaton;
  readonly #text: JsonText;
  /** Any string in its one spelling. */
  readonly any: Expr;
  readonly #character: Expr;
  /** By source, for patterns of all schemas; begun anew when there are many. */
  readonly #patterns = new Map<string, Expr>();
  readonly #formats = new Map<string, Expr>();

  constructor(automaton: Automaton, text: JsonText) {
    this.#automaton = automaton;
    this.#text = text;
    this.#character = text.characters(ALL);
    this.any = text.expressions.repeat(this.#character, 0);
  }

  pattern(source: string, pointer: string): Expr {
    const known = this.#patterns.get(source);
    if (known !== undefined) return known;
    let e: Expr;
    try {
      e = this.#lowered(source, false);
    } catch (error) {
      throw refusal(pointer, (error as Error).message.replace(/^regex: /, ""));
    }
    if (this.#patterns.size > 1000) this.#patterns.clear();
    this.#patterns.set(source, e);
    return e;
  }

  format(name: string): Expr | undefined {
    const source = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
    if (source === undefined) return undefined;
    let e = this.#formats.get(name);
    if (e === undefined) {
      e = this.#lowered(source, true);
      const most = FORMAT_LENGTHS[name];
      if (most !== undefined)
        e = this.#text.expressions.and([e, this.#text.expressions.repeat(this.#character, 0, most)]);
      this.#formats.set(name, e);
    }
    return e;
  }

  #lowered(source: string, whole: boolean): Expr {
    return lower(this.#text.expressions, parsePattern(source), this.#text.characters, { whole });
  }

  not(content: Expr): Expr {
    return this.#text.expressions.and([this.any, this.#text.expressions.not(content)]);
  }

  /** What may stand between the quotes. */
  content(facts: Facts): Expr {
    const e = this.#text.expressions;
    const { minLength, maxLength } = facts;
    const bounded = minLength > 0 || maxLength < Number.POSITIVE_INFINITY;
    const excluded = facts.excluded.filter((value) => typeof value === "string");
    if (facts.patterns.length === 0 && excluded.length === 0)
      return e.repeat(this.#text.character, minLength, maxLength);
    const parts = [...facts.patterns];
    if (bounded || parts.length === 0) parts.push(e.repeat(this.#character, minLength, maxLength));
    if (excluded.length > 0) parts.push(e.not(this.#text.words(excluded.map(contentOf))));
    return e.and(parts);
  }

  possible(facts: Facts): boolean {
    return this.#automaton.matchesSomething(this.content(facts));
  }

  matches(facts: Facts, text: string): boolean {
    if ((facts.types & STRING) === 0) return false;
    const length = [...text].length;
    if (length < facts.minLength || length > facts.maxLength) return false;
    const bytes = utf8.encode(contentOf(text));
    return facts.patterns.every((e) => this.#automaton.matches(e, bytes));
  }

  keyMatches(key: string, content: Expr): boolean {
    return this.#automaton.matches(content, utf8.encode(contentOf(key)));
  }
}
