/** Tokens by their place in a text. Pure. */
import type { Token } from "../api/events.ts";

/** What is shown as one piece: a token, with those before it that are no characters by themselves. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly tokens: readonly Token[];
}

export interface Marked {
  readonly spans: readonly Span[];
  /** Where the shown text begins in the text that the spans count in. */
  readonly offset: number;
  /** The number of the first span; 0 unless said. */
  readonly first?: number;
}

/** @param start where the text of the tokens begins */
export function spansOf(tokens: readonly Token[], start: number): readonly Span[] {
  const spans: Span[] = [];
  let at = start;
  let group: Token[] = [];
  for (const token of tokens) {
    group.push(token);
    if (token.text === "") continue;
    spans.push({ start: at, end: at + token.text.length, tokens: group });
    at += token.text.length;
    group = [];
  }
  return spans;
}

/** The spans of an answer whose tokens are the end of its text. */
export const spansOfAnswer = ({
  text,
  tokens = [],
}: {
  readonly text: string;
  readonly tokens?: readonly Token[];
}) => spansOf(tokens, text.length - tokens.reduce((sum, token) => sum + token.text.length, 0));

/** A piece of text, and the index of the span that it lies in, if it lies in one. */
export interface Piece {
  readonly text: string;
  readonly span?: number;
}

/** The text from `start` on, cut where spans begin and end. */
export function piecesOf(text: string, start: number, spans: readonly Span[]): readonly Piece[] {
  const pieces: Piece[] = [];
  const end = start + text.length;
  let at = start;
  for (let i = firstEndingAfter(spans, start); i < spans.length && spans[i]!.start < end; i++) {
    const span = spans[i]!;
    if (span.start > at) pieces.push({ text: text.slice(at - start, span.start - start) });
    const from = Math.max(at, span.start);
    at = Math.min(end, span.end);
    pieces.push({ text: text.slice(from - start, at - start), span: i });
  }
  if (at < end) pieces.push({ text: text.slice(at - start) });
  return pieces;
}

/** The index of the first span that ends behind a place: the one that holds it, if one does. */
export function firstEndingAfter(spans: readonly Span[], place: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle]!.end > place) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** From 0, as good as certain, to 4, a surprise: how strongly a token is tinted. */
export function surprise({ tokens }: Span): number {
  const probability = Math.exp(tokens.reduce((sum, { logprob }) => sum + logprob, 0));
  return [0.8, 0.4, 0.15, 0.04].filter((bound) => probability < bound).length;
}
