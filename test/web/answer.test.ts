/** Chunks become events, and events an answer. */
import { describe, expect, it } from "vitest";
import { type AnswerEvent, type Chunk, eventsOf } from "../../src/web/api/events.ts";
import { ended, grow, noteOf } from "../../src/web/store/answer.ts";
import type { Answer } from "../../src/web/store/types.ts";

const read = (...chunks: Chunk[]): AnswerEvent[] => chunks.flatMap((chunk) => [...eventsOf(chunk)]);
const delta = (content: object): Chunk => ({ choices: [{ delta: content }] });
const empty: Answer = { text: "", finish: "running" };
const grown = (events: readonly AnswerEvent[], answer = empty) =>
  grow(
    answer,
    events.map((event, i) => ({ event, at: 100 + i * 10 })),
  );

describe("an answer", () => {
  it("gathers text, thoughts, and how it ended", () => {
    const answer = grown(
      read(
        delta({ role: "assistant", content: "" }),
        delta({ reasoning_content: "Hm" }),
        delta({ reasoning_content: "m." }),
        delta({ content: "Yes" }),
        { choices: [{ delta: {}, finish_reason: "stop" }] },
        { choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 } },
      ),
    );
    expect(answer).toMatchObject({
      text: "Yes",
      reasoning: "Hmm.",
      finish: "stop",
      stats: { promptTokens: 7, tokens: 3, firstMs: 100, ms: 20 },
    });
    expect(noteOf(answer)).toBe("3 tokens · 100 tokens/s · first after 100 ms");
  });

  it("has the probabilities of its own tokens, not of its thoughts", () => {
    const token = (token: string, delta: object): Chunk => ({
      choices: [{ delta, logprobs: { content: [{ token, logprob: -1 }] } }],
    });
    const answer = grown(
      read(
        token("<think>", { content: "" }),
        token("Hm", { reasoning_content: "Hm" }),
        token("</think>", { content: "" }),
        token("Yes", { content: "Yes" }),
      ),
    );
    expect(answer).toMatchObject({ text: "Yes", reasoning: "Hm" });
    expect(answer.tokens?.map(({ text, name }) => name ?? text)).toEqual(["Yes"]);
  });

  it("shares a text out to several tokens of one chunk", () => {
    const named = (token: string) => ({ token, logprob: -1 });
    const tokensIn = (text: string, ...names: string[]) =>
      read({ choices: [{ delta: { content: text }, logprobs: { content: names.map(named) } }] }).flatMap(
        (event) => (event.kind === "text" ? (event.tokens ?? []) : []),
      );
    expect(tokensIn("ab", "a", "b").map(({ text }) => text)).toEqual(["a", "b"]);
    expect(tokensIn("é", "\ufffd", "\ufffd").map(({ text }) => text)).toEqual(["", "é"]);
  });

  it("grows by batches as by single events", () => {
    const events = read(...[..."Hello"].map((content) => delta({ content })));
    const singly = events.reduce((answer, event, i) => grow(answer, [{ event, at: 100 + i * 10 }]), empty);
    expect(singly).toEqual(grown(events));
    expect(grow(empty, [])).toBe(empty);
  });

  it("ends as the server said, or by what stopped it", () => {
    expect(ended(empty).finish).toBe("stop");
    expect(ended({ ...empty, finish: "length" }).finish).toBe("length");
    expect(noteOf(ended({ ...empty, finish: "length" }))).toBe("length reached");
    expect(noteOf(ended(empty, "stopped"))).toBe("stopped");
    expect(ended(empty, { message: "No." })).toMatchObject({ finish: "failed", failure: { message: "No." } });
  });

  it("throws an error that comes in the stream", () => {
    expect(() => read({ error: { message: "broken" } })).toThrow("broken");
  });
});
