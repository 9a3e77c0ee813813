import { describe, expect, test } from "vitest";
import { StopMatcher, stopsFrom } from "../../../src/decode/stops.ts";
import { stream } from "./cases.ts";

/** The definition: the stop that ends first, of those the longest; everything before it. */
function naive(text: string, stops: readonly string[]): { text: string; stopped?: string } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops
      .filter((stop) => text.slice(0, end).endsWith(stop))
      .sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return { text: text.slice(0, end - found.length), stopped: found };
  }
  return { text };
}

function run(pieces: readonly string[], stops: readonly string[]): { text: string; stopped?: string } {
  const matcher = new StopMatcher(stops);
  let text = "";
  for (const piece of pieces) {
    const { emit, stopped } = matcher.push(piece);
    text += emit;
    if (stopped !== undefined) return { text: text + matcher.flush(), stopped };
  }
  return { text: text + matcher.flush() };
}

describe("StopMatcher", () => {
  test("equals the definition for every cut of random texts", () => {
    const random = stream(21);
    const pick = (alphabet: readonly string[], most: number): string =>
      Array.from(
        { length: Math.floor(random() * most) },
        () => alphabet[Math.floor(random() * alphabet.length)],
      ).join("");
    for (const alphabet of [
      ["a", "b"],
      ["a", "b", "c", "é", "😀", "😁"],
    ])
      for (let i = 0; i < 4000; i++) {
        const text = pick(alphabet, 30);
        const stops = Array.from({ length: Math.floor(random() * 4) }, () => pick(alphabet, 6) || "ab");
        const pieces: string[] = [];
        for (let at = 0; at < text.length; ) {
          const next = at + Math.floor(random() * 5);
          pieces.push(text.slice(at, next)); // may be empty, may cut a character in half
          at = next;
        }
        expect(run(pieces, stops), `${JSON.stringify(pieces)} ${JSON.stringify(stops)}`).toEqual(
          naive(text, stops),
        );
      }
  });

  test("holds back exactly what may begin a stop string", () => {
    const matcher = new StopMatcher(["\n\nUser:", "<end>"]);
    expect(matcher.push("Hello\n")).toEqual({ emit: "Hello" });
    expect(matcher.push("\nUse")).toEqual({ emit: "" });
    expect(matcher.push("ful <e")).toEqual({ emit: "\n\nUseful " });
    expect(matcher.push("nd>rest")).toEqual({ emit: "", stopped: "<end>" });
    expect(matcher.push("more")).toEqual({ emit: "", stopped: "<end>" });
    expect(matcher.flush()).toBe("");
  });

  test("gives back what was held when the stream ends", () => {
    const matcher = new StopMatcher(["stop"]);
    expect(matcher.push("non-sto")).toEqual({ emit: "non-" });
    expect(matcher.flush()).toBe("sto");
    expect(matcher.flush()).toBe("");
  });

  test("the stop that ends first wins, then the longest", () => {
    expect(run(["abcd"], ["abcd", "bc"])).toEqual({ text: "a", stopped: "bc" });
    expect(run(["xabc"], ["c", "bc", "abc"])).toEqual({ text: "x", stopped: "abc" });
    expect(run(["aaab"], ["aab"])).toEqual({ text: "a", stopped: "aab" });
  });

  test("never emits half a character", () => {
    const matcher = new StopMatcher(["😀"]);
    const [high, low] = ["😁".slice(0, 1), "😁".slice(1)];
    expect(matcher.push(`a${high}`)).toEqual({ emit: "a" });
    expect(matcher.push(low)).toEqual({ emit: "😁" });
    expect(new StopMatcher([]).push(`b${high}`)).toEqual({ emit: "b" });
  });

  test("is linear in a long stream against a long, self-similar stop string", () => {
    const matcher = new StopMatcher([`${"a".repeat(50_000)}b`]);
    let emitted = 0;
    for (let i = 0; i < 10_000; i++) emitted += matcher.push("a".repeat(20)).emit.length;
    expect(emitted).toBe(150_000);
    expect(matcher.push("b")).toEqual({ emit: "", stopped: `${"a".repeat(50_000)}b` });
  });
});

describe("stopsFrom", () => {
  test("accepts one string, several, and tokens", () => {
    expect(stopsFrom({})).toEqual({ strings: [], tokens: new Set() });
    expect(stopsFrom({ stop: "x" }).strings).toEqual(["x"]);
    expect(stopsFrom({ stop: ["x", "y", "x"], stopTokens: [2, 7] })).toEqual({
      strings: ["x", "y"],
      tokens: new Set([2, 7]),
    });
  });

  test("refuses by name what cannot be used", () => {
    expect(() => stopsFrom({ stop: "" })).toThrow("stop: an empty string");
    expect(() => stopsFrom({ stop: ["a", "😀".slice(0, 1)] })).toThrow("stop: ");
    expect(() => stopsFrom({ stop: [1] as unknown as string[] })).toThrow("stop: 1 is not a string");
    expect(() => stopsFrom({ stop: 5 as unknown as string })).toThrow("stop: must be a string or a list");
    expect(() => stopsFrom({ stopTokens: [1.5] })).toThrow("stopTokens: 1.5 is not a token id");
    expect(() => stopsFrom({ stopTokens: [-1] })).toThrow("stopTokens: -1");
  });
});
