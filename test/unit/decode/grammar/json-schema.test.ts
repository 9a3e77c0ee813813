/** JSON Schemas as grammars, against Ajv. */
import { describe, expect, it } from "vitest";
import { GrammarCompiler } from "../../../../src/decode/grammar/index.ts";
import { accepts, sample, smallVocabulary } from "../../../support/grammars.ts";
import { Random } from "../../../support/random.ts";
import { schemaCases, validator } from "../../../support/schemas.ts";

const compiler = new GrammarCompiler(smallVocabulary);
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A document near this one: a part removed, replaced, repeated or added, in the order of keys as it is. */
function changed(value: unknown, random: Random): unknown {
  const others = [
    null,
    true,
    0,
    1,
    -3,
    7,
    12.5,
    "",
    "a",
    "ab",
    "2024-02-30",
    [],
    {},
    [1],
    { a: 1 },
    "x".repeat(9),
  ];
  if (random.next() < 0.2) return random.pick(others);
  if (Array.isArray(value)) {
    const list = [...value];
    const at = random.int(0, list.length);
    const choice = random.int(0, 2);
    if (choice === 0) list.splice(at, 1);
    else if (choice === 1)
      list.splice(at, 0, list.length > 0 && random.next() < 0.7 ? random.pick(list) : random.pick(others));
    else if (list.length > 0) list[at % list.length] = changed(list[at % list.length], random);
    return list;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    const at = random.int(0, Math.max(0, entries.length - 1));
    const choice = random.int(0, 3);
    if (choice === 0) entries.splice(at, 1);
    else if (choice === 1) entries.push([random.pick(["zz", "~x", "s_q"]), random.pick(others)]);
    else if (entries.length > 0) entries[at] = [entries[at]![0], changed(entries[at]![1], random)];
    return Object.fromEntries(entries);
  }
  if (typeof value === "number") return value + random.pick([-1, 1, 0.5, 10, -100]);
  if (typeof value === "string")
    return random.pick([`${value}a`, value.slice(1), value.slice(0, -1), `${value}${value}`]);
  return random.pick(others);
}

const shown = (value: unknown): string => JSON.stringify(value);

describe.each(schemaCases)("$description", ({ schema, tests }) => {
  const validate = validator(schema);

  it("takes what is valid, refuses what is not, and writes nothing else", () => {
    const grammar = compiler.compile({ jsonSchema: schema });
    const compact = compiler.compile({ jsonSchema: schema, whitespace: "none" });
    const single = compiler.compile({ jsonSchema: schema, whitespace: "single" });
    for (const { valid, data } of tests) {
      expect(validate(data), `Ajv on ${shown(data)}`).toBe(valid);
      const text = JSON.stringify(data);
      expect(accepts(grammar, text), text).toBe(valid);
      expect(accepts(grammar, JSON.stringify(data, null, 3)), `indented ${text}`).toBe(valid);
      expect(accepts(compact, text), `compact ${text}`).toBe(valid);
      expect(accepts(single, text), `single ${text}`).toBe(valid);
    }
    const random = new Random(11);
    const found = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const bytes = sample(i % 3 === 0 ? grammar : compact, smallVocabulary, random);
      if (bytes === undefined) continue;
      const text = utf8.decode(bytes);
      if (!validate(JSON.parse(text))) expect.fail(`written and not valid: ${text}`);
      found.add(text);
    }
    for (const { data } of tests) found.add(JSON.stringify(data));
    for (const text of [...found].slice(0, 20))
      for (let i = 0; i < 25; i++) {
        const near = changed(JSON.parse(text), random);
        // Half a character is none, and integers are written without exponents.
        if (/\\ud[89a-f]|\de\+/.test(shown(near))) continue;
        const valid = validate(near);
        if (accepts(compact, shown(near)) !== valid)
          expect.fail(`valid: ${valid}, but not to the grammar: ${shown(near)}`);
      }
  });
});

describe("what is not supported", () => {
  it.each([
    [{ type: "array", uniqueItems: true }, /\/uniqueItems: the keyword "uniqueItems" is not supported/],
    [
      { properties: { a: { type: "string", format: "regex" } } },
      /\/properties\/a\/format: the format "regex"/,
    ],
    [{ properties: { "a/b": { pattern: "(?=x)" } } }, /\/properties\/a~1b\/pattern: looking ahead/],
    [{ type: "object", requried: ["a"] }, /\/requried: the keyword "requried" is not known/],
    [{ $ref: "http://example.com/schema" }, /\/\$ref: .*not in this document/],
    [{ $ref: "#/$defs/none" }, /points to nothing/],
    [{ $dynamicRef: "#a" }, /\$dynamicRef/],
    [{ not: { type: "array", items: { type: "string" } } }, /\/not\/items: the keyword "items"/],
    [{ type: "array", contains: {}, maxContains: 2 }, /maxContains/],
    [{ type: "object", additionalProperties: true, minProperties: 2 }, /minProperties/],
    [
      { allOf: [{ $ref: "#/$defs/a" }], unevaluatedProperties: false, $defs: { a: {} } },
      /unevaluatedProperties/,
    ],
    [{ type: "strnig" }, /"strnig" is not a type/],
    [{ minLength: -1 }, /\/minLength: must be a whole number/],
    [{ properties: { a: 3 } }, /\/properties\/a: a schema must be/],
    [{ anyOf: {} }, /\/anyOf: must be a list/],
    [3, /must be an object, true or false/],
  ])("%j is refused by name and place", (schema, message) => {
    expect(() => compiler.compile({ jsonSchema: schema })).toThrow(message);
  });

  it.each([
    [false],
    [{ type: "integer", minimum: 3, maximum: 2 }],
    [{ allOf: [{ type: "string" }, { type: "number" }] }],
    [{ type: "object", required: ["a"], properties: { a: false } }],
    [{ type: "string", pattern: "^a$", minLength: 2 }],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }],
  ])("%j allows nothing, and says so", (schema) => {
    expect(() => compiler.compile({ jsonSchema: schema })).toThrow(/allows no text/);
  });

  it("ignores unknown keywords where that is asked for, and never known ones", () => {
    expect(
      accepts(compiler.compile({ jsonSchema: { type: "null", hint: 1 }, unknownKeywords: "ignore" }), "null"),
    ).toBe(true);
    expect(() => compiler.compile({ jsonSchema: { uniqueItems: true }, unknownKeywords: "ignore" })).toThrow(
      /uniqueItems/,
    );
  });
});

describe("large schemas", () => {
  it("are taken: long texts, many values, many properties", () => {
    const long = "x".repeat(50_000);
    expect(
      accepts(
        compiler.compile({ jsonSchema: { enum: [long, `${long}y`, "z"] } }),
        JSON.stringify(`${long}y`),
      ),
    ).toBe(true);
    const many = Array.from({ length: 400 }, (_, i) => `value ${i}`);
    expect(accepts(compiler.compile({ jsonSchema: { enum: many } }), '"value 399"')).toBe(true);
    const properties = Object.fromEntries(many.map((name) => [name, { type: "integer" }]));
    const wide = compiler.compile({
      jsonSchema: { type: "object", properties, additionalProperties: false },
    });
    expect(accepts(wide, '{"value 3": 1, "value 190": 2}')).toBe(true);
    expect(accepts(wide, '{"value 190": 1, "value 3": 2}')).toBe(false);
  });

  it("are refused where they are so large that compiling them would keep others waiting", () => {
    const properties = Object.fromEntries(Array.from({ length: 12_000 }, (_, i) => [`p${i}`, true]));
    const refused: [object, RegExp][] = [
      [{ type: "object", properties }, /more than 10000 values/],
      [{ enum: Array.from({ length: 20_000 }, (_, i) => i) }, /more than 10000 values/],
      [{ const: "x".repeat(200_000) }, /more than 120000 characters/],
      [{ type: "string", pattern: "x".repeat(20_000) }, /a pattern has 20000 characters; at most 10000/],
      // Each entry lies behind the one before.
      [{ type: "array", prefixItems: Array.from({ length: 9900 }, () => true) }, /too many parts/],
    ];
    for (const [jsonSchema, message] of refused) {
      expect(() => compiler.compile({ jsonSchema })).toThrow(message);
      // What others share is as it was.
      expect(accepts(compiler.compile({ jsonSchema: { type: "boolean" } }), "true")).toBe(true);
    }
    const parts = Array.from({ length: 3 }, () => ({ jsonSchema: { enum: ["y".repeat(50_000)] } }));
    expect(() => compiler.compile({ choice: parts })).toThrow(/^grammar: has more than 120000 characters/);
    const told = { type: "boolean", description: "for people ".repeat(20_000) };
    expect(accepts(compiler.compile({ jsonSchema: told }), "false")).toBe(true);
  });

  it("are refused where they are too deep, or multiply", () => {
    let deep: object = {};
    for (let i = 0; i < 2000; i++) deep = { items: deep };
    expect(() => compiler.compile({ jsonSchema: deep })).toThrow(/nested too deeply/);
    const choices = Array.from({ length: 12 }, (_, i) => ({
      anyOf: [{ minimum: i }, { maximum: -i }, { multipleOf: i + 1 }],
    }));
    expect(() => compiler.compile({ jsonSchema: { type: "integer", allOf: choices } })).toThrow(
      /alternatives/,
    );
  });
});

describe("spelling", () => {
  it("takes any escapes in free strings, and one spelling where a pattern decides", () => {
    const free = compiler.compile({ jsonSchema: { type: "string", maxLength: 2 } });
    for (const text of ['"\\u0061\\/"', '"\\ud83c\\udf0d"', '"é🌍"', '"\\n\\""'])
      expect(accepts(free, text), text).toBe(true);
    for (const text of ['"\\ud83c"', '"\\x41"', '"\n"', '"abc"', '"\\ud83c\\udf0da\\u0061"'])
      expect(accepts(free, text), text).toBe(false);
    const pattern = compiler.compile({ jsonSchema: { type: "string", pattern: "^[ab\\n]$" } });
    expect(['"a"', '"\\n"', '"\\u0061"', '"\\u000a"'].map((text) => accepts(pattern, text))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("writes no number that is not finite", () => {
    const number = compiler.compile({ jsonSchema: { type: "number" } });
    expect(accepts(number, `1${"0".repeat(199)}e99`)).toBe(true);
    expect(accepts(number, `1${"0".repeat(200)}`)).toBe(true);
    expect(accepts(number, `1${"0".repeat(201)}`)).toBe(false);
    expect(accepts(number, "1e999")).toBe(false);
    expect(["01", "1.", ".5", "+1", "-", "1e", "0x1"].map((text) => accepts(number, text))).toEqual(
      Array(7).fill(false),
    );
    expect(["-0", "0.0", "1E+2", "-1.5e-07"].map((text) => accepts(number, text))).toEqual(
      Array(4).fill(true),
    );
  });
});
