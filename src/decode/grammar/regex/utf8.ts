/** Sets of code points as expressions over the bytes of their UTF-8. Only well-formed UTF-8 is matched. */
import { ByteSet } from "./byte-set.ts";
import { type CodePoints, rangesOf } from "./code-points.ts";
import { EMPTY, type Expr, type Expressions } from "./expressions.ts";

/** Code points whose UTF-8 has this many bytes, and the bits of the first byte that say so. */
const LENGTHS = [
  { first: 0, last: 0x7f, lead: 0, more: 0 },
  { first: 0x80, last: 0x7ff, lead: 0xc0, more: 1 },
  { first: 0x800, last: 0xffff, lead: 0xe0, more: 2 },
  { first: 0x10000, last: 0x10ffff, lead: 0xf0, more: 3 },
] as const;

const utf8 = new TextEncoder();

export function utf8Of(expressions: Expressions, points: CodePoints): Expr {
  const parts = LENGTHS.map(({ first, last, lead, more }) => {
    const ranges: [number, number][] = [];
    for (const [low, high] of rangesOf(points))
      if (low <= last && high >= first) ranges.push([Math.max(low, first), Math.min(high, last)]);
    return bytesOf(expressions, ranges, lead, more);
  });
  return expressions.or(parts);
}

export const literalOf = (expressions: Expressions, text: string): Expr =>
  expressions.literal(utf8.encode(text));

/** A byte with the bits `lead` and the upper digits of the ranges, then `more` bytes of six bits each. */
function bytesOf(
  expressions: Expressions,
  ranges: readonly (readonly [number, number])[],
  lead: number,
  more: number,
): Expr {
  const unit = 64 ** more;
  /** For each expression of the rest, the first bytes that it may follow. */
  const leads = new Map<Expr, ByteSet>();
  const add = (from: number, to: number, rest: Expr): void => {
    const set = ByteSet.range(lead + from, lead + to);
    leads.set(rest, leads.get(rest)?.union(set) ?? set);
  };
  /** Parts of a digit's range, where it is not there as a whole. */
  const partial = new Map<number, [number, number][]>();
  for (const [low, high] of ranges) {
    let [from, to] = [Math.floor(low / unit), Math.floor(high / unit)];
    const note = (digit: number): void => {
      const part = partial.get(digit) ?? [];
      part.push([Math.max(low - digit * unit, 0), Math.min(high - digit * unit, unit - 1)]);
      partial.set(digit, part);
    };
    if (low % unit !== 0 || (from === to && (high + 1) % unit !== 0)) note(from++);
    if (to >= from && (high + 1) % unit !== 0) note(to--);
    if (from <= to) add(from, to, more === 0 ? EMPTY : wholeOf(expressions, more));
  }
  for (const [digit, parts] of partial) add(digit, digit, bytesOf(expressions, parts, 0x80, more - 1));
  return expressions.or([...leads].map(([rest, set]) => expressions.concat(expressions.set(set), rest)));
}

const wholeOf = (expressions: Expressions, bytes: number): Expr =>
  expressions.sequence(Array.from({ length: bytes }, () => expressions.range(0x80, 0xbf)));
