/** One text by two authors: who wrote which part, and how edits change that. Pure. */
import type { Token } from "../api/events.ts";
import type { Segment, Text } from "./types.ts";

export const emptyText: Text = { kind: "text", segments: [] };

export const wholeText = (segments: readonly Segment[]): string => segments.map(({ text }) => text).join("");

/** The segments of a text that was edited: what is new is the user's, what was kept keeps its author and its tokens. */
export function edited(segments: readonly Segment[], text: string): readonly Segment[] {
  const old = wholeText(segments);
  if (old === text) return segments;
  const start = commonLength(old, text, (s, i) => s.charCodeAt(i));
  const most = Math.min(old.length, text.length) - start;
  const end = Math.min(
    most,
    commonLength(old, text, (s, i) => s.charCodeAt(s.length - 1 - i)),
  );
  return joined([
    ...slice(segments, 0, start),
    { from: "user", text: text.slice(start, text.length - end) },
    ...slice(segments, old.length - end, old.length),
  ]);
}

function commonLength(a: string, b: string, at: (text: string, i: number) => number): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i < most && at(a, i) === at(b, i)) i++;
  return i;
}

/** The part from `start` to `end`, in UTF-16 units. */
function slice(segments: readonly Segment[], start: number, end: number): Segment[] {
  const parts: Segment[] = [];
  let at = 0;
  for (const segment of segments) {
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, segment.text.length);
    if (from === 0 && to === segment.text.length) parts.push(segment);
    else if (from < to) parts.push(...cut(segment, from, to));
    at += segment.text.length;
  }
  return parts;
}

/** A part of a segment. Of a token that was cut, the rest is still the model's, but has no probability any more. */
function cut({ from, text, tokens }: Segment, start: number, end: number): Segment[] {
  if (tokens === undefined) return [{ from, text: text.slice(start, end) }];
  const kept: Token[] = [];
  let at = text.length - tokens.reduce((sum, token) => sum + token.text.length, 0);
  let first = end;
  let last = end;
  for (const token of tokens) {
    const next = at + token.text.length;
    if (at >= start && next <= end) {
      if (kept.length === 0) first = at;
      last = next;
      kept.push(token);
    }
    at = next;
  }
  return [
    { from, text: text.slice(start, first) },
    { from, text: text.slice(first, last), ...(kept.length > 0 ? { tokens: kept } : {}) },
    { from, text: text.slice(last, end) },
  ].filter((part) => part.text !== "");
}

/** Without empty parts; neighbours that the user wrote become one. */
function joined(segments: readonly Segment[]): readonly Segment[] {
  const parts: Segment[] = [];
  for (const segment of segments) {
    const last = parts.at(-1);
    if (segment.text === "") continue;
    if (last?.from === "user" && segment.from === "user")
      parts[parts.length - 1] = { from: "user", text: last.text + segment.text };
    else parts.push(segment);
  }
  return parts;
}

/** The text before its last continuation, or undefined where the user wrote the end. */
export const beforeLast = (segments: readonly Segment[]): readonly Segment[] | undefined =>
  segments.at(-1)?.from === "model" ? segments.slice(0, -1) : undefined;
