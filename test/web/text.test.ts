/** A text by two authors keeps its letters, its authors and its tokens through every edit. */
import { describe, expect, it } from "vitest";
import type { Token } from "../../src/web/api/events.ts";
import { beforeLast, edited, wholeText } from "../../src/web/store/text.ts";
import type { Segment } from "../../src/web/store/types.ts";
import { back, forth, noSteps, step } from "../../src/web/store/undo.ts";
import { Random } from "../support/random.ts";

const token = (text: string): Token => ({ text, logprob: -1, top: [] });
const model = (...parts: string[]): Segment => ({
  from: "model",
  text: parts.join(""),
  tokens: parts.map(token),
});
const user = (text: string): Segment => ({ from: "user", text });
const shown = (segments: readonly Segment[]) =>
  segments.map(
    ({ from, text, tokens }) => `${from}:${text}${tokens ? `/${tokens.map((t) => t.text).join("|")}` : ""}`,
  );

describe("an edit", () => {
  const text = [user("Once"), model(" upon", " a", " time")];

  it("of the reader's part leaves the model's alone", () => {
    expect(edited(text, "Once upon a time")).toBe(text);
    const next = edited(text, "Twice upon a time");
    expect(shown(next)).toEqual(["user:Twice", "model: upon a time/ upon| a| time"]);
    expect(next[1]).toBe(text[1]);
  });

  it("inside the model's part keeps what was not touched, whole tokens with their probabilities", () => {
    expect(shown(edited(text, "Once upon no time"))).toEqual([
      "user:Once",
      "model: upon/ upon",
      "model: ",
      "user:no",
      "model: time/ time",
    ]);
    expect(shown(edited(text, "Once upon a time!"))).toEqual([...shown(text), "user:!"]);
    expect(shown(edited(text, "Once"))).toEqual(["user:Once"]);
    expect(edited(text, "")).toEqual([]);
  });

  it("holds for any edits in a row", () => {
    const random = new Random(7);
    const below = (n: number) => random.int(0, n - 1);
    let segments: readonly Segment[] = text;
    for (let i = 0; i < 300; i++) {
      const old = wholeText(segments);
      const start = below(old.length + 1);
      const end = Math.min(old.length, start + below(6));
      const next = old.slice(0, start) + "ab é".slice(0, below(5)) + old.slice(end);
      segments = edited(segments, next);
      if (i % 5 === 0) segments = [...segments, model(" the", "", " end")];
      expect(wholeText(segments)).toBe(i % 5 === 0 ? `${next} the end` : next);
      for (const { text, tokens } of segments) {
        expect(text).not.toBe("");
        if (tokens) expect(text.endsWith(tokens.map((t) => t.text).join(""))).toBe(true);
      }
      for (const [k, { from }] of segments.entries())
        if (k > 0 && from === "user") expect(segments[k - 1]!.from).toBe("model");
    }
  });

  it("knows the text before the last continuation", () => {
    expect(beforeLast(text)).toEqual([text[0]]);
    expect(beforeLast([...text, user("!")])).toBeUndefined();
    expect(beforeLast([])).toBeUndefined();
  });
});

describe("steps", () => {
  it("go back and forth, close edits as one", () => {
    let steps = step<string>(noSteps, "", 1000);
    steps = step(steps, "a", 1100);
    steps = step(steps, "ab", 5000);
    expect(steps.past).toEqual(["", "ab"]);
    const [before, text] = back(steps, "abc")!;
    expect(text).toBe("ab");
    expect(forth(before, text)).toEqual([{ past: ["", "ab"], future: [] }, "abc"]);
    expect(step(before, "x").future).toEqual([]);
    expect(back(noSteps, "")).toBeUndefined();
    expect(forth(noSteps, "")).toBeUndefined();
  });
});
