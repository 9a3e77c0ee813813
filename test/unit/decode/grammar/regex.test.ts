/** Patterns against JavaScript's own RegExp. */
import { describe, expect, it } from "vitest";
import { Automaton } from "../../../../src/decode/grammar/regex/automaton.ts";
import { lower } from "../../../../src/decode/grammar/regex/lower.ts";
import { parsePattern } from "../../../../src/decode/grammar/regex/pattern.ts";
import { utf8Of } from "../../../../src/decode/grammar/regex/utf8.ts";
import { Random } from "../../../support/random.ts";

const automaton = new Automaton();
const { expressions } = automaton;
const utf8 = new TextEncoder();

function compile(pattern: string, whole = false) {
  return lower(expressions, parsePattern(pattern), (points) => utf8Of(expressions, points), { whole });
}
const matches = (e: number, text: string): boolean => automaton.matches(e, utf8.encode(text));

const patterns = [
  "abc",
  "^abc$",
  "^a|b$",
  "(^a|b)c",
  "a(b|c$)",
  "^(a|b)*c+$",
  "^$",
  "",
  "a^b",
  "a$b",
  "(?:^|x)y(?:z|$)",
  "^(?:ab?){2,3}$",
  "^[a-c]{2,}[^b]$",
  "^.$",
  "^\\d+(?:\\.\\d{1,2})?$",
  "^[^\\d]+$",
  "^\\w+\\s\\W$",
  "^[\\w.-]+@[\\w-]+\\.[a-z]{2,3}$",
  "^\\p{Lu}\\p{Ll}*$",
  "^\\P{L}$",
  "^[\\u{1F600}-\\u{1F64F}]+$",
  "^\\uD83D\\uDE00$",
  "^é|ß$",
  "^(?<name>a)(b(c(d)?)?)?$",
  "(a|ab)(c|bcd)(d*)",
  "^a{0}b{3}$",
  "^[^\\]a]",
  "\\^\\$\\.\\*\\/",
  "^[\\b\\t\\n-]$",
  "^(a*)*b$",
  "^(?:|a|bb)+$",
  "^\\x41\\cJ\\0$",
];

const alphabet = [
  "a",
  "b",
  "c",
  "d",
  "x",
  "y",
  "z",
  "1",
  ".",
  " ",
  "\n",
  "-",
  "@",
  "É",
  "é",
  "ß",
  "😀",
  "A",
  "^",
  "$",
  "*",
  "/",
  "_",
];

describe("patterns", () => {
  it.each(patterns)("%s: the same texts as RegExp", (pattern) => {
    const e = compile(pattern);
    const native = new RegExp(pattern, "u");
    const source = new Random(7);
    const random = () => source.next();
    const texts = [
      "",
      "abc",
      "é",
      "ß",
      "😀",
      "A\n\0",
      "^$.*/",
      "\b",
      "12.34",
      "a b",
      "Éaé",
      "abcd",
      "ac",
      "bc",
      "ya",
      "xyz",
    ];
    for (let i = 0; i < 3000; i++)
      texts.push(
        Array.from(
          { length: Math.floor(random() * 7) },
          () => alphabet[Math.floor(random() * alphabet.length)],
        ).join(""),
      );
    const wrong = texts.filter((text) => matches(e, text) !== native.test(text));
    expect(wrong).toEqual([]);
  });

  it.each([
    ["a(?=b)", /looking ahead/],
    ["(?<!a)b", /looking ahead or behind/],
    ["(a)\\1", /references back/],
    ["\\bword\\b", /word borders/],
    ["(^a)*", /anchors/],
    ["a{3,1}", /out of order/],
    ["[z-a]", /out of order/],
    ["a)", /without/],
    ["(a", /without/],
    ["[a", /without/],
    ["*a", /nothing to repeat/],
    ["\\q", /not known/],
    ["\\p{Nonsense}", /Unicode property/],
    ["a{1000000}", /counts above/],
  ])("%s is refused by name", (pattern, message) => {
    expect(() => compile(pattern)).toThrow(message);
  });

  it("matches every character of a set, and none beside it", () => {
    for (const set of [
      "[^a]",
      "\\p{L}",
      "[\\u{7FF}-\\u{800}\\u{FFFF}-\\u{10000}]",
      "[\\u{3F}-\\u{10FFFF}]",
      "\\s",
      ".",
    ]) {
      const e = compile(`^${set}$`);
      const native = new RegExp(`^${set}$`, "u");
      for (let point = 0; point < 0x110000; point += point < 0x3000 ? 1 : 97) {
        if (point >= 0xd800 && point < 0xe000) continue;
        const text = String.fromCodePoint(point);
        if (matches(e, text) !== native.test(text)) expect.fail(`${set}: U+${point.toString(16)}`);
      }
    }
  });

  it("matches no bytes that are not UTF-8", () => {
    const e = compile("^.*$");
    for (const bytes of [
      [0xff],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xe2, 0x82],
      [0x80],
    ])
      expect(automaton.matches(e, bytes)).toBe(false);
    expect(automaton.matches(e, [0xf4, 0x8f, 0xbf, 0xbf])).toBe(true);
  });
});

describe("intersection and complement", () => {
  it("decide as two patterns do, and see what is empty", () => {
    const [a, b] = [compile("^[ab]*$"), compile("a.*b")];
    const both = expressions.and([a, b]);
    const neither = expressions.and([compile("^.*$"), expressions.not(a), expressions.not(b)]);
    const source = new Random(3);
    const random = () => source.next();
    for (let i = 0; i < 2000; i++) {
      const text = Array.from(
        { length: Math.floor(random() * 6) },
        () => "abc"[Math.floor(random() * 3)],
      ).join("");
      expect(matches(both, text)).toBe(/^[ab]*$/.test(text) && /a.*b/.test(text));
      expect(matches(neither, text)).toBe(!/^[ab]*$/.test(text) && !/a.*b/.test(text));
    }
    expect(automaton.matchesSomething(expressions.and([compile("^a+$"), compile("^b+$")]))).toBe(false);
    expect(automaton.matchesSomething(expressions.and([compile("^a{30,40}$"), compile("^a{41,60}$")]))).toBe(
      false,
    );
    expect(automaton.matchesSomething(expressions.and([compile("^a{30,40}$"), compile("^a{40,60}$")]))).toBe(
      true,
    );
  });

  it("counts multiples", () => {
    const digits = compile("^(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?$");
    for (const [divisor, scale, step] of [
      [7, 0, 7],
      [25, 2, 0.25],
      [5, 1, 0.5],
      [12, 0, 12],
    ] as const) {
      const e = expressions.and([digits, expressions.multiple(divisor, scale)]);
      for (let n = 0; n < 4000; n++) {
        const text = String(n / 10 ** scale);
        expect(matches(e, text), text).toBe(Number.isInteger(n / 10 ** scale / step));
      }
    }
  });
});
