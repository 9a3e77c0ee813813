/**
 * Sets of Unicode code points as sorted ranges, and the sets that patterns have names for. Knows nothing of bytes.
 * Surrogates are no characters: no set holds them.
 */

/** [low, high, low, high, ...], both ends included, ascending, neither touching nor overlapping. */
export type CodePoints = readonly number[];

const LAST = 0x10ffff;
const SURROGATES = [0xd800, 0xdfff] as const;

export function fromRanges(ranges: readonly (readonly [number, number])[]): CodePoints {
  const sorted = ranges.filter(([low, high]) => low <= high).sort((a, b) => a[0] - b[0]);
  const merged: number[] = [];
  for (const [low, high] of sorted) {
    if (merged.length > 0 && low <= merged.at(-1)! + 1)
      merged[merged.length - 1] = Math.max(merged.at(-1)!, high);
    else merged.push(low, high);
  }
  return withoutSurrogates(merged);
}

function withoutSurrogates(points: CodePoints): CodePoints {
  const [first, last] = SURROGATES;
  const kept: number[] = [];
  for (const [low, high] of rangesOf(points)) {
    if (high < first || low > last) kept.push(low, high);
    else {
      if (low < first) kept.push(low, first - 1);
      if (high > last) kept.push(last + 1, high);
    }
  }
  return kept;
}

export function* rangesOf(points: CodePoints): Generator<readonly [number, number]> {
  for (let i = 0; i < points.length; i += 2) yield [points[i]!, points[i + 1]!];
}

export const union = (...sets: readonly CodePoints[]): CodePoints =>
  fromRanges(sets.flatMap((set) => [...rangesOf(set)]));

export function complement(points: CodePoints): CodePoints {
  const gaps: [number, number][] = [];
  let from = 0;
  for (const [low, high] of rangesOf(points)) {
    gaps.push([from, low - 1]);
    from = high + 1;
  }
  gaps.push([from, LAST]);
  return fromRanges(gaps);
}

export const intersect = (a: CodePoints, b: CodePoints): CodePoints =>
  complement(union(complement(a), complement(b)));

export const single = (point: number): CodePoints => fromRanges([[point, point]]);

export const ALL: CodePoints = fromRanges([[0, LAST]]);
export const DIGITS: CodePoints = fromRanges([[0x30, 0x39]]);
export const WORD: CodePoints = fromRanges([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
/** ECMA-262's WhiteSpace and LineTerminator. */
export const SPACE: CodePoints = fromRanges([
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
/** What `.` matches. */
export const NO_LINE_END: CodePoints = complement(
  fromRanges([
    [10, 10],
    [13, 13],
    [0x2028, 0x2029],
  ]),
);

const properties = new Map<string, CodePoints>();
let everything: string | undefined;

/** The set of `\p{name}`; undefined where ECMA-262 has none of this name. */
export function property(name: string): CodePoints | undefined {
  const known = properties.get(name);
  if (known !== undefined) return known;
  let pattern: RegExp;
  try {
    pattern = new RegExp(`\\p{${name}}+`, "gu");
  } catch {
    return undefined;
  }
  everything ??= allCharacters();
  const found: [number, number][] = [];
  for (const [run] of everything.matchAll(pattern)) found.push([run.codePointAt(0)!, lastCodePoint(run)]);
  const points = fromRanges(found);
  properties.set(name, points);
  return points;
}

function allCharacters(): string {
  const parts: string[] = [];
  for (const [low, high] of rangesOf(ALL))
    for (let at = low; at <= high; at += 4096)
      parts.push(
        String.fromCodePoint(...Array.from({ length: Math.min(4096, high + 1 - at) }, (_, i) => at + i)),
      );
  return parts.join("");
}

const lastCodePoint = (text: string): number =>
  text.length > 1 && /[\udc00-\udfff]$/.test(text)
    ? text.codePointAt(text.length - 2)!
    : text.charCodeAt(text.length - 1);

/** The set and what differs from its members by case only, as far as single characters go. */
export function anyCase(points: CodePoints): CodePoints {
  const more: (readonly [number, number])[] = [...rangesOf(points)];
  for (const [low, high] of rangesOf(points))
    for (let point = low; point <= Math.min(high, 0x1ffff); point++) {
      const text = String.fromCodePoint(point);
      for (const other of [text.toLowerCase(), text.toUpperCase()]) {
        const code = other.codePointAt(0)!;
        if (other.length === String.fromCodePoint(code).length) more.push([code, code]);
      }
    }
  return fromRanges(more);
}
