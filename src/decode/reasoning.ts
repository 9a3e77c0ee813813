/**
 * What a model thinks before it answers, between marks of its template: told apart from the answer as it is written.
 * Knows marks and texts; not tools, and not requests.
 */
import type { Grammar } from "./grammar/index.ts";
import { Cursor, type Reading } from "./tools/cursor.ts";
import { type Mark, upTo } from "./tools/dialect.ts";

export interface ReasoningMarks {
  readonly open: string;
  readonly close: string;
}

const KNOWN: readonly ReasoningMarks[] = [
  { open: "<think>", close: "</think>" },
  { open: "[THINK]", close: "[/THINK]" },
  { open: "<|channel>thought", close: "<channel|>" },
];

/** The marks of a chat template; undefined where its model does not think. */
export const reasoningOf = (template: string): ReasoningMarks | undefined =>
  KNOWN.find(({ close }) => template.includes(close));

/** The template's name for whether to think; undefined where that cannot be chosen. */
export const reasoningSwitch = (template: string): string | undefined =>
  ["enable_thinking", "thinking"].find((name) => new RegExp(`\\b${name}\\b`).test(template));

/** Whether the prompt ends within thoughts, so that the answer begins with them. */
export const opensReasoning = ({ open }: ReasoningMarks, prompt: string): boolean =>
  prompt.trimEnd().endsWith(open);

/** What opens thoughts, as tokens have it: a mark, and behind some a word. */
const opening = ({ open }: ReasoningMarks): readonly string[] => open.split(/(?<=>)(?=[a-z])/);

/** Those of the marks that a vocabulary may have as special tokens. */
export const reasoningTokens = (marks: ReasoningMarks): readonly string[] => [
  opening(marks)[0]!,
  marks.close,
];

/** The answer's grammar behind thoughts, which may be left out unless the prompt has begun them. */
export function behindReasoning(
  marks: ReasoningMarks,
  opened: boolean,
  answer: Grammar,
  mark: Mark,
): Grammar {
  const closing: Grammar[] = [upTo(marks.close, mark), { regex: "\\n{0,2}" }];
  if (opened) return { sequence: [...closing, answer] };
  const [first, ...words] = opening(marks);
  const begun = [mark(first!), ...words.map((text): Grammar => ({ text }))];
  return { choice: [answer, { sequence: [...begun, ...closing, answer] }] };
}

export interface Piece {
  readonly kind: "reasoning" | "text";
  readonly text: string;
}

export class ReasoningParser {
  readonly #marks: ReasoningMarks;
  readonly #cursor = new Cursor();
  readonly #reading: Reading<void>;
  #pieces: Piece[] = [];

  /** @param opened whether the text begins within thoughts */
  constructor(marks: ReasoningMarks, opened: boolean) {
    this.#marks = marks;
    this.#reading = this.#all(opened);
  }

  push(text: string): Piece[] {
    this.#cursor.push(text);
    return this.#go();
  }

  flush(): Piece[] {
    this.#cursor.end();
    return this.#go();
  }

  #go(): Piece[] {
    this.#reading.next();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  *#all(opened: boolean): Reading<void> {
    const cursor = this.#cursor;
    yield* cursor.space();
    if ((yield* cursor.literal(this.#marks.open)) || opened) {
      yield* cursor.space();
      // White space at the end of thoughts is the template's.
      let space = "";
      yield* cursor.until(this.#marks.close, (text) => {
        const whole = space + text;
        const kept = whole.trimEnd();
        space = whole.slice(kept.length);
        if (kept !== "") this.#pieces.push({ kind: "reasoning", text: kept });
      });
      yield* cursor.space();
    } else cursor.at = 0;
    for (;;) {
      const { rest } = cursor;
      if (rest !== "") this.#pieces.push({ kind: "text", text: cursor.skip(rest.length) });
      cursor.commit();
      if (cursor.ended) return;
      yield;
    }
  }
}
