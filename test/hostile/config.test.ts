/** Broken and hostile config files: each is read right or refused with a CheckpointError that names the field. */
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/base/errors.ts";
import { Fields } from "../../src/checkpoint/config.ts";
import { parseJsonObject } from "../../src/checkpoint/text.ts";
import { accepted, mutate } from "../support/mutate.ts";
import { Random } from "../support/random.ts";

const sample = {
  architectures: ["LlamaForCausalLM"],
  hidden_act: "silu",
  hidden_size: 64,
  num_hidden_layers: 5,
  rms_norm_eps: 1e-5,
  rope_scaling: { factor: 8, rope_type: "llama3", short_factor: [1, 1.5] },
  rope_theta: 10000,
  eos_token_id: [2, 3],
  sliding_window: null,
  tie_word_embeddings: true,
};

/** Reads as a model would. */
function readAll(bytes: Uint8Array): void {
  const fields = new Fields("config.json", parseJsonObject("config.json", bytes));
  expect(Number.isInteger(fields.int("hidden_size", { min: 1, max: 1 << 20 }))).toBe(true);
  expect(fields.int("num_hidden_layers", { min: 1 })).toBeGreaterThan(0);
  expect(Number.isFinite(fields.number("rms_norm_eps", { default: 1e-6 }))).toBe(true);
  expect(typeof fields.bool("tie_word_embeddings", { default: false })).toBe("boolean");
  expect(["silu", "gelu"]).toContain(fields.oneOf("hidden_act", ["silu", "gelu"]));
  for (const id of fields.ints("eos_token_id", { default: [] })) expect(Number.isInteger(id)).toBe(true);
  for (const name of fields.strings("architectures")) expect(typeof name).toBe("string");
  const scaling = fields.object("rope_scaling");
  if (scaling?.has("short_factor"))
    for (const x of scaling.numbers("short_factor")) expect(Number.isFinite(x)).toBe(true);
}

describe("hostile configs", () => {
  it("1500 mutations", () => {
    const bytes = new Uint8Array(Buffer.from(JSON.stringify(sample, null, 1)));
    const random = new Random(5);
    let read = 0;
    readAll(bytes);
    for (let i = 0; i < 1500; i++)
      if (accepted(() => readAll(mutate(bytes, bytes.length - 1, random)))) read++;
    expect(read).toBeGreaterThan(20);
    expect(read).toBeLessThan(1200);
  });

  const cases: [string, string | Uint8Array, RegExp][] = [
    ["an empty file", "", /config\.json: is not valid JSON/],
    ["a value that is no object", "3", /must hold a JSON object/],
    ["null", "null", /must hold a JSON object/],
    ["broken UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), /UTF-8/],
    ["a nesting bomb", '{"a":'.repeat(50_000), /at byte \d+: is nested more than 64/],
    ["NaN", '{"a":NaN}', /not valid JSON/],
    ["a missing field", "{}", /field "hidden_size": is missing/],
    ["null for a needed field", '{"hidden_size":null}', /"hidden_size": is missing/],
    ["a field of the prototype", '{"__proto__":{"hidden_size":64}}', /"hidden_size": is missing/],
    ["text for a number", '{"hidden_size":"64"}', /"hidden_size": must be a whole number, not "64"/],
    ["a fraction", '{"hidden_size":64.5}', /not 64\.5/],
    ["a number beyond 2^53", '{"hidden_size":1e300}', /whole number/],
    ["a number that is too large", '{"hidden_size":10000000}', /1 to 1048576/],
    ["a negative number", '{"hidden_size":-1}', /1 to 1048576/],
    [
      "infinity",
      '{"hidden_size":8,"num_hidden_layers":1,"rms_norm_eps":1e999}',
      /"rms_norm_eps": must be a number/,
    ],
    ["a long text", `{"hidden_size":"${"x".repeat(9999)}"}`, /not "x{30,60}\.\.\./],
    [
      "a list of other things",
      JSON.stringify({ ...sample, eos_token_id: [1, "2"] }),
      /"eos_token_id": must be a list of whole numbers/,
    ],
    [
      "a wrong field inside an object",
      JSON.stringify({ ...sample, rope_scaling: { short_factor: ["a"] } }),
      /"rope_scaling\.short_factor"/,
    ],
    [
      "a list for an object",
      JSON.stringify({ ...sample, rope_scaling: [1] }),
      /"rope_scaling": must be an object/,
    ],
    ["an unknown choice", JSON.stringify({ ...sample, hidden_act: "relu" }), /one of silu, gelu, not "relu"/],
  ];

  it.each(cases)("%s is refused", (_, text, message) => {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    expect(() => readAll(bytes)).toThrow(CheckpointError);
    expect(() => readAll(bytes)).toThrow(message);
  });
});
