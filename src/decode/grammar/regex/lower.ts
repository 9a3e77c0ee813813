/**
 * Patterns as expressions over bytes, with anchors resolved. How a character is written in bytes is the caller's:
 * as UTF-8, or as JSON writes it in a string.
 */
import { ParameterError } from "../../../base/errors.ts";
import { ALL, type CodePoints } from "./code-points.ts";
import { EMPTY, type Expr, type Expressions, NOTHING } from "./expressions.ts";
import type { Pattern } from "./pattern.ts";

/** The bytes that stand for one character of the set. */
export type Encode = (points: CodePoints) => Expr;

/**
 * What a pattern matches, by what it asks of the place where it does: [0] anywhere, [START] where the text begins,
 * [END] where it ends, [START | END] both.
 */
type Anchored = readonly [Expr, Expr, Expr, Expr];
const each = (make: (i: 0 | 1 | 2 | 3) => Expr): Anchored => [make(0), make(1), make(2), make(3)];
const START = 1;
const END = 2;

/**
 * @param whole whether the pattern must match the whole text; otherwise anywhere in it
 * @param where names the parameter in errors
 */
export function lower(
  expressions: Expressions,
  pattern: Pattern,
  encode: Encode,
  { whole, where = "regex" }: { whole: boolean; where?: string },
): Expr {
  const sets = new Map<CodePoints, Expr>();
  const encoded = (points: CodePoints): Expr => {
    const known = sets.get(points) ?? encode(points);
    sets.set(points, known);
    return known;
  };
  const onlyEmpty = (e: Expr): Expr => (expressions.nullable(e) ? EMPTY : NOTHING);

  const sequence = (a: Anchored, b: Anchored): Anchored => {
    const parts: [Expr[], Expr[], Expr[], Expr[]] = [[], [], [], []];
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < 4; j++) {
        // Nothing can follow the end of the text, and nothing stand before its beginning.
        const first = j & START ? onlyEmpty(a[i]!) : a[i]!;
        const second = i & END ? onlyEmpty(b[j]!) : b[j]!;
        parts[i | j]!.push(expressions.concat(first, second));
      }
    return each((i) => expressions.or(parts[i]));
  };

  const meaning = (p: Pattern): Anchored => {
    switch (p.kind) {
      case "set":
        return [encoded(p.points), NOTHING, NOTHING, NOTHING];
      case "start":
        return [NOTHING, EMPTY, NOTHING, NOTHING];
      case "end":
        return [NOTHING, NOTHING, EMPTY, NOTHING];
      case "sequence":
        return p.parts.map(meaning).reduceRight((rest, part) => sequence(part, rest), NEUTRAL);
      case "choice": {
        const parts = p.parts.map(meaning);
        return each((i) => expressions.or(parts.map((part) => part[i])));
      }
      case "repeat": {
        const inner = meaning(p.part);
        if (p.max <= 1) {
          if (p.max === 0) return NEUTRAL;
          return p.min === 1 ? inner : [expressions.optional(inner[0]), inner[1], inner[2], inner[3]];
        }
        if (inner.some((e, i) => i > 0 && e !== NOTHING))
          throw new ParameterError(where, "anchors (^ and $) in a group that is repeated are not supported");
        return [expressions.repeat(inner[0], p.min, p.max), NOTHING, NOTHING, NOTHING];
      }
      default:
        return p satisfies never;
    }
  };

  const around = whole ? EMPTY : expressions.repeat(encoded(ALL), 0);
  return expressions.or(
    meaning(pattern).map((e, i) =>
      expressions.sequence([i & START ? EMPTY : around, e, i & END ? EMPTY : around]),
    ),
  );
}

const NEUTRAL: Anchored = [EMPTY, NOTHING, NOTHING, NOTHING];
