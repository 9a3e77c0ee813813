/** GBNF and Lark, and what all grammars share. */
import { describe, expect, it } from "vitest";
import { type Grammar, GrammarCompiler } from "../../../../src/decode/grammar/index.ts";
import { accepts, sample, smallVocabulary, vocabularyOf } from "../../../support/grammars.ts";
import { Random } from "../../../support/random.ts";

const compiler = new GrammarCompiler(smallVocabulary);

function expectTexts(grammar: Grammar, good: readonly string[], bad: readonly string[]): void {
  const compiled = compiler.compile(grammar);
  for (const text of good) expect(accepts(compiled, text), JSON.stringify(text)).toBe(true);
  for (const text of bad) expect(accepts(compiled, text), JSON.stringify(text)).toBe(false);
}

describe("GBNF", () => {
  it("has literals, sets, groups, repetitions and comments", () => {
    const gbnf = `# a list
root ::= "- " item ("\\n- " item)*  # items
item ::= [a-z]+ | [^a-z\\n]{2,3} |
  "\\x41\\u00e9\\U0001F30D" "]"? |
  ( [\\]\\-x] "=" [0-9]{2} [0-9]{1,} )
`;
    expectTexts(
      { gbnf },
      ["- abc", "- abc\n- def", "- 12", "- 12é", "- Aé🌍", "- Aé🌍]", "- ]=123", "- -=12345"],
      ["", "-", "- 1", "- 1234", "- abc\n", "- x=12", "- abc\n-def"],
    );
  });

  it("recurses in the middle and on the left", () => {
    expectTexts({ gbnf: 'root ::= "(" root ")" root | ""' }, ["", "()", "(())()"], ["(", ")", "(()"]);
    const gbnf =
      'root ::= expr\nexpr ::= expr [-+] term | term\nterm ::= term "*" atom | atom\natom ::= [0-9]+ | "(" expr ")"';
    expectTexts({ gbnf }, ["1", "1+2", "1+2*3-4", "(1+2)*3", "((1))-2"], ["", "+1", "1+", "1**2", "(1"]);
    const mutual = 'root ::= a\na ::= b "x" | "a"\nb ::= a "y" | c "z" | "b"\nc ::= b "w" | "c"';
    expectTexts({ gbnf: mutual }, ["a", "bx", "ayx", "czx", "bwzx", "ayxyx"], ["b", "ax", "cx", "ay"]);
  });

  it("begins where it is told", () => {
    expectTexts({ gbnf: 'a ::= "x" b\nb ::= "y"', root: "b" }, ["y"], ["x", "xy"]);
  });

  it.each([
    ['root ::= "a', /ends too early|must end in its line/],
    ["root ::= other", /no rule "other", in line 1, column 10/],
    ['a ::= "x"', /no rule "root"/],
    ['root ::= "a"\nroot ::= "b"', /defined twice, in line 2/],
    ['root ::= ("a"', /"\(" without "\)"/],
    ["root = 1", /"::=" must follow/],
    ['root ::= "\\q"', /escape/],
    ['root ::= a root "x" | "y"\na ::= "z"?', /recurses on the left/],
    ["root ::= root", /allows no text/],
    ['root ::= "a" root', /allows no text/],
  ])("%j is refused", (gbnf, message) => {
    expect(() => compiler.compile({ gbnf })).toThrow(message);
  });
});

describe("Lark", () => {
  it("has rules, terminals, patterns, ranges, repetitions and what is ignored", () => {
    const lark = `// sums
start: sum
?sum: product | sum "+" product -> add
    | sum "-" product
product: atom ("*" atom)*
atom: NUMBER | NAME | "(" sum ")" | CALL~2 | "max"i "(" sum ["," sum] ")"
NAME: /[a-z_]\\w*/i
CALL: "f" "0".."9"
%import common.NUMBER
%import common.WS_INLINE -> BLANK
%ignore BLANK
`;
    expectTexts(
      { lark },
      ["1", "1+2", " 1 + 2*x ", "(1-2)*3.5e2", "f1f2", "f1 f2", "MAX(1, 2)", "max( 1 )", "a - b - c"],
      ["", "1+", "f1f2f3*", "(1", "max(1,)", "1\n", "+1"],
    );
  });

  it("imports lists of terminals", () => {
    expectTexts(
      { lark: 'start: ESCAPED_STRING (":" SIGNED_INT)+\n%import common (ESCAPED_STRING, SIGNED_INT)' },
      ['"a":1', '"\\"":-12:+3'],
      ['"a"', "a:1"],
    );
  });

  it.each([
    ["start: x", /no rule "x"/],
    ['start: "a"\n%declare X', /%declare is not supported/],
    ['start: "a"\n%import python.X', /only terminals of common/],
    ["start: /a/s", /flag "s"/],
    ["start: /(?=a)/", /looking ahead/],
    ["start: f{x}", /templates/],
    ['start: ("a"', /"\)" is missing/],
  ])("%j is refused", (lark, message) => {
    expect(() => compiler.compile({ lark })).toThrow(message);
  });
});

describe("a constraint", () => {
  const grammar = compiler.compile({ regex: "(?:foo|foobar)+!?" });
  const { end } = smallVocabulary;
  const take = (text: string) => {
    const constraint = grammar.start([end]);
    for (const byte of new TextEncoder().encode(text)) constraint.accept(byte);
    return constraint;
  };
  const bit = (mask: Uint32Array, token: number): boolean => ((mask[token >> 5]! >>> (token & 31)) & 1) === 1;

  it("allows the end exactly where the text may end", () => {
    expect(
      [take(""), take("fo"), take("foo"), take("foob"), take("foobar!")].map((c) => bit(c.allowed(), end)),
    ).toEqual([false, false, true, false, true]);
    const ended = take("foo!");
    expect([ended.complete, ended.finished, ended.canEnd]).toEqual([true, false, true]);
    ended.accept(end);
    expect([ended.complete, ended.finished, ended.canEnd]).toEqual([true, true, false]);
    expect(ended.allowed().every((word) => word === 0)).toBe(true);
    expect(grammar.start([]).finished).toBe(false);
  });

  it("forks and rolls back", () => {
    const one = take("foob");
    const two = one.fork();
    one.rollback(2);
    expect(one.length).toBe(2);
    one.accept("o".charCodeAt(0));
    expect(one.canEnd).toBe(true);
    expect(two.canEnd).toBe(false);
    two.accept("a".charCodeAt(0));
    expect([one.length, two.length]).toEqual([3, 5]);
    expect(() => two.accept("x".charCodeAt(0))).toThrow(/not allowed/);
    expect(two.length).toBe(5);
    expect(() => two.rollback(6)).toThrow(/cannot take back/);
  });

  it("leaves states behind when a text alone needs very many, and knows them all the same", () => {
    const nested = compiler.compile({ gbnf: 'root ::= "(" root ")" | "[" root "]" | "."' });
    const constraint = nested.start([end]);
    const random = new Random(3);
    const open = Array.from({ length: 55_000 }, () => random.pick(["(", "["]));
    const codes = (text: string): number[] => [...text].map((c) => c.charCodeAt(0));
    let most = 0;
    const take = (byte: number): void => {
      constraint.accept(byte);
      most = Math.max(most, nested.states);
    };
    for (const byte of codes(open.join(""))) take(byte);
    const fork = constraint.fork();
    fork.rollback(10);
    expect(fork.length).toBe(constraint.length - 10);
    take(codes(".")[0]!);
    const [right, wrong] = [codes(")"), codes("]")].map(([byte]) => byte!) as [number, number];
    let mistakes = 0;
    for (const mark of open.toReversed()) {
      const [good, bad] = mark === "(" ? [right, wrong] : [wrong, right];
      if (constraint.canEnd || constraint.allows(bad)) mistakes++;
      take(good);
    }
    expect(mistakes).toBe(0);
    expect([constraint.canEnd, constraint.complete]).toEqual([true, true]);
    expect(constraint.length).toBe(110_001);
    expect(most).toBeLessThan(51_000);
  });

  it("tells the bytes that are forced", () => {
    expect(new TextDecoder().decode(take("").forcedBytes())).toBe("foo");
    expect(take("foo").forcedBytes()).toHaveLength(0);
    expect(new TextDecoder().decode(take("foob").forcedBytes())).toBe("ar");
    expect(take("foo!").forcedBytes()).toHaveLength(0);
  });

  it("refuses what is no grammar", () => {
    for (const wrong of [null, {}, { regex: 1 }, { regex: "a", gbnf: "b" }, { regex: "a", root: "b" }])
      expect(() => compiler.compile(wrong as never)).toThrow(/^grammar: /);
  });
});

describe("masks", () => {
  it.each([
    {
      gbnf: 'root ::= expr\nexpr ::= expr [-+] term | term\nterm ::= [0-9]+ | "(" expr ")" | "foo" | "foobar"',
    },
    { lark: "start: (WORD | NUM)+\nWORD: /[a-z]{2,30}/\nNUM: /\\d{1,25}(\\.\\d+)?/\n%ignore / +/" },
    { regex: '(?:[\\p{L}é🌍]{1,40}[":,{}\\[\\] ]+)*end' },
    { jsonSchema: true },
    {
      jsonSchema: {
        type: "object",
        properties: { name: { type: "string", maxLength: 30 }, value: { type: "number", minimum: -5 } },
        additionalProperties: { enum: ["foo", 12, null] },
      },
    },
  ] as Grammar[])("are those of every token tried by itself: %j", (spec) => {
    const grammar = compiler.compile(spec);
    const random = new Random(5);
    for (let round = 0; round < 6; round++) {
      const constraint = grammar.start([smallVocabulary.end]);
      for (let step = 0; step < 40 && !constraint.finished; step++) {
        const mask = constraint.allowed().slice();
        const allowed: number[] = [];
        for (let token = 0; token < smallVocabulary.vocabSize; token++) {
          const one = ((mask[token >> 5]! >>> (token & 31)) & 1) === 1;
          if (one !== constraint.allows(token))
            expect.fail(`step ${step}: token ${token} is ${one ? "" : "not "}in the mask`);
          if (one) allowed.push(token);
        }
        constraint.accept(random.pick(allowed));
      }
    }
  });

  it("are right beside a grammar that cannot be gone on with", () => {
    const few = vocabularyOf(["a", "b", "c", "ab", "abb", "ac", "d", "e"]);
    const rest = 't ::= "b" t | "b"';
    const good = { gbnf: `root ::= "a" ("b" t | "c")\n${rest}` };
    const bad = { gbnf: `root ::= "a" ("b" t | "c" x)\n${rest}\nx ::= y{15000} "d"\ny ::= "" | "e" y "d"` };
    const maskOf = (one: GrammarCompiler, grammar: Grammar) => [
      ...one.compile(grammar).start([few.end]).allowed(),
    ];
    const shared = new GrammarCompiler(few);
    // Found out in the middle of its mask, behind tokens that are in the other's too.
    expect(() => maskOf(shared, bad)).toThrow(/^grammar: can go on in more than 20000 ways/);
    expect(maskOf(shared, good)).toEqual(maskOf(new GrammarCompiler(few), good));
  });

  it("lead to texts of the grammar only", () => {
    const grammar = compiler.compile({ regex: "(?:[a-f]{2,5}[,;])+\\d{3}" });
    const random = new Random(9);
    for (let i = 0; i < 50; i++) {
      const bytes = sample(grammar, smallVocabulary, random);
      if (bytes !== undefined) expect(new TextDecoder().decode(bytes)).toMatch(/^(?:[a-f]{2,5}[,;])+\d{3}$/);
    }
  });
});
