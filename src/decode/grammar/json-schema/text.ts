/**
 * How JSON writes values: strings with their escapes, white space, literals. Knows nothing of schemas.
 *
 * A string that a pattern, a length or a name decides about is written as `JSON.stringify` writes it, so that one
 * string has one spelling; a free one may use any escape.
 */
import { type CodePoints, complement, fromRanges, intersect, rangesOf } from "../regex/code-points.ts";
import { EMPTY, type Expr, type Expressions } from "../regex/expressions.ts";
import { literalOf, utf8Of } from "../regex/utf8.ts";

/**
 * White space between the parts of a document: `any` that JSON allows, `single` for an optional space after commas
 * and colons, `none`.
 */
export type Whitespace = "any" | "single" | "none";
export const WHITESPACES: readonly Whitespace[] = ["any", "single", "none"];

const utf8 = new TextEncoder();
/** Characters that a string must escape. */
const ESCAPED = fromRanges([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]);
const PLAIN = complement(ESCAPED);

export class JsonText {
  readonly expressions: Expressions;
  readonly open: { readonly object: Expr; readonly array: Expr };
  readonly close: { readonly object: Expr; readonly array: Expr };
  readonly comma: Expr;
  readonly colon: Expr;
  /** One character of a free string, in any spelling. */
  readonly character: Expr;

  constructor(expressions: Expressions, whitespace: Whitespace) {
    const e = expressions;
    this.expressions = e;
    const blank = e.or([" ", "\t", "\n", "\r"].map((c) => e.literal(utf8.encode(c))));
    const space = whitespace === "any" ? e.repeat(blank, 0) : EMPTY;
    const after = whitespace === "single" ? e.optional(literalOf(e, " ")) : space;
    const mark = (text: string, before: Expr, behind: Expr): Expr =>
      e.sequence([before, literalOf(e, text), behind]);
    this.open = { object: mark("{", EMPTY, space), array: mark("[", EMPTY, space) };
    this.close = { object: mark("}", space, EMPTY), array: mark("]", space, EMPTY) };
    this.comma = mark(",", space, after);
    this.colon = mark(":", space, after);
    this.character = freeCharacter(e);
  }

  /** Characters of a set in their one spelling. */
  readonly characters = (points: CodePoints): Expr => {
    const e = this.expressions;
    const escapes: Expr[] = [];
    for (const [low, high] of rangesOf(intersect(points, ESCAPED)))
      for (let point = low; point <= high; point++)
        escapes.push(e.literal(utf8.encode(JSON.stringify(String.fromCharCode(point)).slice(1, -1))));
    return e.or([utf8Of(e, intersect(points, PLAIN)), ...escapes]);
  };

  quoted(content: Expr): Expr {
    const quote = literalOf(this.expressions, '"');
    return this.expressions.sequence([quote, content, quote]);
  }

  /** Texts, of which any may stand, sharing their beginnings. */
  words(texts: readonly string[]): Expr {
    const sorted = [...new Set(texts)].map((text) => utf8.encode(text));
    return this.#factored(sorted, 0);
  }

  #factored(words: readonly Uint8Array[], from: number): Expr {
    const e = this.expressions;
    const first = words[0]!;
    if (words.length === 1) return e.literal(first.subarray(from));
    let at = from;
    while (at < first.length && words.every((word) => word[at] === first[at])) at++;
    const groups = new Map<number, Uint8Array[]>();
    const parts: Expr[] = [];
    for (const word of words) {
      if (word.length === at) parts.push(EMPTY);
      else {
        const group = groups.get(word[at]!);
        if (group === undefined) groups.set(word[at]!, [word]);
        else group.push(word);
      }
    }
    for (const [byte, group] of groups)
      parts.push(e.concat(e.range(byte, byte), this.#factored(group, at + 1)));
    return e.concat(e.literal(first.subarray(from, at)), e.or(parts));
  }
}

/** The content of a string as its one spelling has it. */
export const contentOf = (text: string): string => JSON.stringify(text).slice(1, -1);

function freeCharacter(e: Expressions): Expr {
  const hex = (ranges: readonly (readonly [string, string])[]): Expr =>
    e.or(ranges.map(([low, high]) => e.range(low.charCodeAt(0), high.charCodeAt(0))));
  const any = hex([
    ["0", "9"],
    ["a", "f"],
    ["A", "F"],
  ]);
  const u = literalOf(e, "\\u");
  const d = hex([
    ["d", "d"],
    ["D", "D"],
  ]);
  const notD = hex([
    ["0", "9"],
    ["a", "c"],
    ["A", "C"],
    ["e", "f"],
    ["E", "F"],
  ]);
  const eightToB = hex([
    ["8", "9"],
    ["a", "b"],
    ["A", "B"],
  ]);
  const cToF = hex([
    ["c", "f"],
    ["C", "F"],
  ]);
  const high = e.sequence([u, d, eightToB, any, any]);
  const low = e.sequence([u, d, cToF, any, any]);
  const zeroTo7 = hex([["0", "7"]]);
  return e.or([
    utf8Of(e, PLAIN),
    e.concat(literalOf(e, "\\"), e.or([...'"\\/bfnrt'].map((c) => literalOf(e, c)))),
    e.sequence([u, notD, any, any, any]),
    e.sequence([u, d, zeroTo7, any, any]),
    e.concat(high, low), // half a surrogate pair is no character
  ]);
}
