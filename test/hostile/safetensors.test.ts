/** Broken and hostile safetensors files: each opens right or is refused with a CheckpointError. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/base/errors.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors, openSharded } from "../../src/checkpoint/safetensors.ts";
import { BytesSource } from "../../src/checkpoint/source.ts";
import { rawSafetensors, safetensorsFile } from "../support/checkpoints.ts";
import { accepted, mutate } from "../support/mutate.ts";
import { Random } from "../support/random.ts";
import { haveShared, shared } from "../support/shared.ts";
import { WatchedSource } from "../support/watched-source.ts";

/** Opens and reads all there is; opening must read no more than the file. */
function exercise(bytes: Uint8Array): boolean {
  const source = new WatchedSource("mutant.safetensors", bytes);
  let checkpoint: Checkpoint | undefined;
  accepted(() => {
    checkpoint = openSafetensors(source);
  });
  expect(source.bytesRead).toBeLessThanOrEqual(bytes.length);
  expect(source.closed).toBe(checkpoint === undefined);
  if (checkpoint === undefined) return false;
  let total = 0;
  for (const name of checkpoint.tensors.keys()) {
    total += checkpoint.raw(name).length;
    accepted(() => (checkpoint as Checkpoint).bytes(name));
  }
  // No overlaps: the tensors cannot have more bytes than the file.
  expect(total).toBeLessThanOrEqual(bytes.length);
  return true;
}

describe("mutated safetensors files", () => {
  it("3500 mutations of a made file", { timeout: 60_000 }, () => {
    const { bytes, header } = safetensorsFile();
    expect(exercise(bytes)).toBe(true);
    const random = new Random(3);
    let opened = 0;
    for (let i = 0; i < 3500; i++) if (exercise(mutate(bytes, header, random))) opened++;
    expect(opened).toBeGreaterThan(50);
    expect(opened).toBeLessThan(2500);
  });

  it.skipIf(!haveShared)("500 mutations of a file by others", { timeout: 60_000 }, () => {
    const bytes = new Uint8Array(readFileSync(shared("golden/llama/model.safetensors")));
    expect(exercise(bytes)).toBe(true);
    const header = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const random = new Random(4);
    for (let i = 0; i < 500; i++) exercise(mutate(bytes, header, random));
  });
});

const tensor = (dtype: string, shape: string, offsets: string) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
const one = (dtype: string, shape: string, offsets: string) =>
  rawSafetensors(`{"w":${tensor(dtype, shape, offsets)}}`, 64);
const f32 = tensor("F32", "[4]", "[0,16]");

describe("hostile safetensors files", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["an empty file", new Uint8Array(0), /at byte 0: 8 bytes were expected/],
    ["a header beyond the file", new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0, 0x7b]), /header of 9 bytes/],
    ["a huge header", new Uint8Array(8).fill(255), /header of \d+ bytes/],
    ["no JSON", rawSafetensors("hello", 0), /at byte 8: .*expected \{/],
    ["a list", rawSafetensors("[]", 0), /expected \{/],
    ["a nesting bomb", rawSafetensors('{"a":'.repeat(1000), 0), /is no field of a tensor/],
    ["a bomb of brackets", rawSafetensors(`{"w":{"shape":${"[".repeat(5000)}`, 0), /whole number/],
    ["a bomb of dimensions", one("F32", `[${"1,".repeat(500)}4]`, "[0,16]"), /more than 16 numbers/],
    [
      "broken UTF-8",
      rawSafetensors(Buffer.from([0x7b, 0x22, 0xff, 0x22]), 0),
      /at byte 10: is not valid UTF-8/,
    ],
    ["a control character", rawSafetensors('{"a\n":1}', 0), /control character/],
    ["a broken escape", rawSafetensors('{"a\\x":1}', 0), /broken escape/],
    ["text after the object", rawSafetensors("{} {}", 0), /follows the object/],
    ["two equal names", rawSafetensors(`{"w":${f32},"w":${f32}}`, 64), /"w", at byte \d+.*two tensors/],
    ["equal names, one escaped", rawSafetensors(`{"w":${f32},"\\u0077":${f32}}`, 64), /two tensors/],
    ["metadata that is no text", rawSafetensors('{"__metadata__":{"a":1}}', 0), /expected "/],
    ["metadata twice", rawSafetensors('{"__metadata__":{},"__metadata__":{}}', 0), /stands twice/],
    ["a strange field", rawSafetensors('{"w":{"strides":[1]}}', 0), /"strides".*no field/],
    ["a field twice", rawSafetensors('{"w":{"dtype":"F32","dtype":"F32"}}', 0), /"dtype" stands twice/],
    ["no dtype", rawSafetensors('{"w":{"shape":[],"data_offsets":[0,4]}}', 4), /"dtype" is missing/],
    ["no shape", rawSafetensors('{"w":{"dtype":"F32","data_offsets":[0,4]}}', 4), /"shape" is missing/],
    ["no offsets", rawSafetensors('{"w":{"dtype":"F32","shape":[]}}', 4), /"data_offsets" must/],
    ["one offset", one("F32", "[4]", "[0]"), /must hold two numbers/],
    ["a strange type", one("F33", "[4]", "[0,16]"), /"F33" is no element type/],
    ["a type from the prototype", one("toString", "[4]", "[0,16]"), /"toString" is no element type/],
    ["a dimension of 0", one("F32", "[0,4]", "[0,0]"), /not positive/],
    ["a negative dimension", one("F32", "[-4]", "[0,16]"), /not negative/],
    ["a broken number", one("F32", "[4.5]", "[0,16]"), /expected \]/],
    ["a number beyond 2^53", one("F32", "[9007199254740993]", "[0,16]"), /beyond 2\^53/],
    ["a product beyond 2^53", one("F32", "[4294967296,4294967296]", "[0,0]"), /2\^53 bytes/],
    ["offsets backwards", one("F32", "[4]", "[16,0]"), /do not span/],
    ["offsets too short", one("F32", "[4]", "[0,8]"), /do not span the 16 bytes/],
    ["offsets beyond the file", one("F32", "[4]", "[60,76]"), /"w".*beyond the 64 bytes/],
    [
      "overlapping tensors",
      rawSafetensors(`{"w":${f32},"v":${tensor("F32", "[4]", "[12,28]")}}`, 64),
      /"v".*overlaps the tensor "w"/,
    ],
  ];

  it.each(cases)("%s is refused", (_, bytes, message) => {
    const open = () => openSafetensors(new BytesSource("bad.safetensors", bytes));
    expect(open).toThrow(CheckpointError);
    expect(open).toThrow(message);
    expect(open).toThrow(/^bad\.safetensors/);
  });

  it("refuses each cut of a whole file", () => {
    const { bytes } = safetensorsFile();
    for (let length = 0; length < bytes.length; length++)
      expect(accepted(() => openSafetensors(new BytesSource("cut", bytes.slice(0, length))))).toBe(false);
  });

  it("allows holes, odd alignment and trailing bytes", () => {
    const bytes = rawSafetensors(
      `{"w":${tensor("F32", "[1]", "[3,7]")},"v":${tensor("U8", "[2]", "[20,22]")}}`,
      64,
    );
    expect(openSafetensors(new BytesSource("holes", bytes)).bytes("w").length).toBe(4);
  });
});

describe("hostile indexes", () => {
  const shard = () => new BytesSource("shard", rawSafetensors(`{"w":${f32}}`, 16));
  const open = (text: string) =>
    openSharded(new BytesSource("index.json", Buffer.from(text)), (name) => {
      if (name !== "a.safetensors") throw new CheckpointError(name, "is missing");
      return shard();
    });

  const cases: [string, string, RegExp][] = [
    ["no JSON", "{", /not valid JSON/],
    ["a list", "[]", /JSON object/],
    ["no map", "{}", /"weight_map"/],
    ["an empty map", '{"weight_map":{}}', /lists no tensors/],
    ["a map that is a list", '{"weight_map":[]}', /"weight_map"/],
    ["a shard outside the folder", '{"weight_map":{"w":"../a.safetensors"}}', /"w".*same folder/],
    ["an absolute path", '{"weight_map":{"w":"/tmp/a.safetensors"}}', /same folder/],
    ["a path of another system", '{"weight_map":{"w":"..\\\\a.safetensors"}}', /same folder/],
    ["a name with an end in it", '{"weight_map":{"w":"a\\u0000.safetensors"}}', /same folder/],
    ["another kind of file", '{"weight_map":{"w":"pytorch_model.bin"}}', /same folder/],
    ["a number", '{"weight_map":{"w":1}}', /same folder/],
    ["a missing shard", '{"weight_map":{"w":"b.safetensors"}}', /b\.safetensors: is missing/],
    ["a tensor that the shard lacks", '{"weight_map":{"v":"a.safetensors"}}', /"v".*does not hold it/],
    ["a nesting bomb", `{"weight_map":${"[".repeat(100_000)}`, /nested more than 64/],
  ];

  it.each(cases)("%s is refused", (_, text, message) => {
    expect(() => open(text)).toThrow(CheckpointError);
    expect(() => open(text)).toThrow(message);
  });

  it("opens what is right", () => {
    const checkpoint = open('{"metadata":{},"weight_map":{"w":"a.safetensors"}}');
    expect(checkpoint.tensors.get("w")?.shape).toEqual([4]);
    expect(checkpoint.bytes("w").length).toBe(16);
  });
});
