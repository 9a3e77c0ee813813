/** Broken and hostile GGUF files: each opens right or is refused with a CheckpointError. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/base/errors.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openGguf, openSplitGguf } from "../../src/checkpoint/gguf.ts";
import { GgufArray } from "../../src/checkpoint/gguf-values.ts";
import type { GgufEntry } from "../../src/checkpoint/gguf-writer.ts";
import { BytesSource } from "../../src/checkpoint/source.ts";
import { ggufFile, sampleMetadata, sampleTensors } from "../support/checkpoints.ts";
import { accepted, mutate } from "../support/mutate.ts";
import { Random } from "../support/random.ts";
import { haveShared, shared } from "../support/shared.ts";
import { WatchedSource } from "../support/watched-source.ts";

const open = (bytes: Uint8Array) => openGguf(new BytesSource("bad.gguf", bytes));

/** Opens and reads all there is; reads must stay within a small multiple of the file. */
function exercise(bytes: Uint8Array): boolean {
  const source = new WatchedSource("mutant.gguf", bytes);
  let checkpoint: Checkpoint | undefined;
  const opened = accepted(() => {
    checkpoint = openGguf(source);
  });
  expect(source.bytesRead).toBeLessThanOrEqual(2 * bytes.length + 1024);
  if (checkpoint === undefined) {
    expect(source.closed).toBe(true);
    return opened;
  }
  for (const [name, tensor] of checkpoint.tensors) {
    const { length } = checkpoint.raw(name);
    expect(length).toBeLessThanOrEqual(bytes.length);
    expect(tensor.shape.every((d) => d > 0 && Number.isSafeInteger(d))).toBe(true);
    accepted(() => (checkpoint as Checkpoint).bytes(name));
  }
  for (const value of checkpoint.metadata.values())
    if (value instanceof GgufArray) {
      expect(value.length).toBeLessThanOrEqual(bytes.length);
      accepted(() => (value.type === "string" ? value.strings() : value.numbers()));
    }
  return opened;
}

describe("mutated GGUF files", () => {
  it("4000 mutations of a made file", { timeout: 60_000 }, () => {
    const { bytes, header } = ggufFile();
    expect(exercise(bytes)).toBe(true);
    const random = new Random(1);
    let opened = 0;
    for (let i = 0; i < 4000; i++) if (exercise(mutate(bytes, header, random))) opened++;
    // Damage to names and values still opens: the test would show little if nothing did.
    expect(opened).toBeGreaterThan(100);
    expect(opened).toBeLessThan(3000);
  });

  it.skipIf(!haveShared)("500 mutations of a published file", { timeout: 60_000 }, () => {
    const bytes = new Uint8Array(readFileSync(shared("models/gguf-test/llama-2-tiny-random.gguf")));
    expect(exercise(bytes)).toBe(true);
    const random = new Random(2);
    for (let i = 0; i < 500; i++) exercise(mutate(bytes, i % 2 === 0 ? 1200 : 725_000, random));
  });
});

/** A header made by hand: numbers are written as u32, bigints as u64, strings with their length. */
const header = (...parts: (number | bigint | string | Uint8Array)[]): Uint8Array =>
  new Uint8Array(
    Buffer.concat(
      parts.map((part) => {
        if (part instanceof Uint8Array) return part;
        const out = Buffer.alloc(typeof part === "number" ? 4 : 8);
        if (typeof part === "number") out.writeUInt32LE(part);
        else if (typeof part === "bigint") out.writeBigUInt64LE(part);
        else {
          const text = Buffer.from(part);
          out.writeBigUInt64LE(BigInt(text.length));
          return Buffer.concat([out, text]);
        }
        return out;
      }),
    ),
  );

const magic = 0x46554747;
const data = new Uint8Array(4096);
/** One f32 tensor of the given dimensions, type and offset. */
const withTensor = (dims: bigint[], type: number, offset: bigint, name = "w") =>
  header(magic, 3, 1n, 0n, name, dims.length, ...dims, type, offset, data);

describe("hostile GGUF files", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["an empty file", new Uint8Array(0), /4 bytes were expected/],
    ["another magic", header(1, 3, 0n, 0n), /at byte 0: .*GGUF/],
    ["version 1", header(magic, 1, 0, 0), /"version", at byte 4: .*version 1/],
    ["big endian", new Uint8Array([0x47, 0x47, 0x55, 0x46, 0, 0, 0, 3]), /big-endian/],
    ["version 4", header(magic, 4, 0n, 0n), /version 4 is not known/],
    ["a bomb of tensors", header(magic, 3, 2n ** 60n, 0n), /tensor count/],
    ["a bomb of tensors within 2^53", header(magic, 3, 2n ** 50n, 0n), /tensor count.*at byte 8/],
    ["a bomb of values", header(magic, 3, 0n, 2n ** 40n), /metadata count.*at byte 16/],
    ["a key beyond the file", header(magic, 3, 0n, 1n, 2n ** 32n, data), /a metadata key.*do not fit/],
    ["a long key", header(magic, 3, 0n, 1n, 70_000n, new Uint8Array(80_000)), /at most 65535/],
    ["a key that is no UTF-8", header(magic, 3, 0n, 1n, 2n, new Uint8Array([0xc3, 0x28]), data), /UTF-8/],
    ["two equal keys", header(magic, 3, 0n, 2n, "k", 4, 1, "k", 4, 1), /"k".*two metadata values/],
    ["an unknown value type", header(magic, 3, 0n, 1n, "k", 13, data), /"k".*unknown value type 13/],
    ["an array of arrays", header(magic, 3, 0n, 1n, "k", 9, 9, 1n, 9, 1n, data), /"k".*array of arrays/],
    ["a bomb of strings", header(magic, 3, 0n, 1n, "k", 9, 8, 2n ** 33n, data), /"k".*do not fit/],
    ["a string beyond the file", header(magic, 3, 0n, 1n, "k", 9, 8, 1n, 2n ** 33n, data), /"k".*do not fit/],
    ["a strange boolean", header(magic, 3, 0n, 1n, "k", 7, new Uint8Array([2])), /"k".*boolean/],
    ["an alignment of 0", header(magic, 3, 0n, 1n, "general.alignment", 4, 0), /general.alignment/],
    ["an alignment of 48", header(magic, 3, 0n, 1n, "general.alignment", 4, 48), /power of two/],
    ["an alignment in words", header(magic, 3, 0n, 1n, "general.alignment", "x"), /general.alignment|type/],
    ["no dimensions", withTensor([], 0, 0n), /"w".*0 dimensions/],
    ["five dimensions", withTensor([1n, 1n, 1n, 1n, 1n], 0, 0n), /5 dimensions/],
    ["a dimension of 0", withTensor([0n, 4n], 0, 0n), /"w".*not positive/],
    ["a dimension beyond 2^53", withTensor([2n ** 63n], 0, 0n), /2\^53/],
    ["a product beyond 2^53", withTensor([2n ** 30n, 2n ** 30n], 0, 0n), /"w".*2\^53/],
    ["a product that wraps to 0", withTensor([2n ** 32n, 2n ** 32n], 0, 0n), /2\^53/],
    ["an unknown type", withTensor([4n], 4, 0n), /"w".*unknown type number 4/],
    ["rows of half a block", withTensor([48n], 2, 0n), /"w".*q4_0 blocks of 32/],
    ["an offset beyond the file", withTensor([4n], 0, 2n ** 40n), /"w", at byte 24.*beyond the end/],
    ["a tensor longer than the file", withTensor([2n ** 20n], 0, 0n), /beyond the end/],
    ["an odd offset", withTensor([4n], 0, 4n), /multiple of the alignment 32/],
    ["a long tensor name", withTensor([4n], 0, 0n, "n".repeat(2000)), /at most 1024/],
    [
      "overlapping tensors",
      header(magic, 3, 2n, 0n, "a", 1, 64n, 0, 0n, "b", 1, 4n, 0, 32n, data),
      /"b".*overlaps the tensor "a"/,
    ],
    [
      "two tensors of one name",
      header(magic, 3, 2n, 0n, "a", 1, 4n, 0, 0n, "a", 1, 4n, 0, 32n, data),
      /"a".*two tensors/,
    ],
  ];

  it.each(cases)("%s is refused", (_, bytes, message) => {
    expect(() => open(bytes)).toThrow(CheckpointError);
    expect(() => open(bytes)).toThrow(message);
    expect(() => open(bytes)).toThrow(/^bad\.gguf/);
  });

  it("refuses each cut of a whole file", () => {
    const { bytes, header: size } = ggufFile();
    for (let length = 0; length < size; length += 3)
      expect(() => open(bytes.slice(0, length))).toThrow(CheckpointError);
    expect(() => open(bytes.slice(0, bytes.length - 1024))).toThrow(/beyond the end/);
  });

  it("lists a tensor of an unsupported type and refuses it by name when it is asked for", () => {
    const checkpoint = open(withTensor([256n], 10, 0n));
    expect(checkpoint.tensors.get("w")).toMatchObject({ format: "q2_K", shape: [256] });
    expect(() => checkpoint.bytes("w")).toThrow(/"w".*q2_K/);
    expect(checkpoint.raw("w").length).toBe(84);
    expect(() => checkpoint.bytes("v")).toThrow(/"v".*no such tensor/);
  });

  it("refuses strings that are no UTF-8 when an array is decoded", () => {
    const bytes = header(magic, 3, 0n, 1n, "k", 9, 8, 2n, "ok", 2n, new Uint8Array([0xff, 0xfe]));
    const value = open(bytes).metadata.get("k") as GgufArray;
    expect(() => value.strings()).toThrow(/bad\.gguf, field "k", at byte \d+: is not valid UTF-8/);
    expect(() => value.numbers()).toThrow(/strings where numbers/);
  });
});

describe("hostile split GGUF files", () => {
  const part = (
    number: number,
    count: number,
    tensors = sampleTensors.slice(number, number + 1),
    total = 2,
  ) => {
    const split: [string, GgufEntry][] = [
      ["split.no", { type: "u16", value: number }],
      ["split.count", { type: "u16", value: count }],
      ["split.tensors.count", { type: "i32", value: total }],
    ];
    const metadata = new Map([...(number === 0 ? sampleMetadata : []), ...split]);
    return new BytesSource(`part${number}.gguf`, ggufFile(metadata, tensors).bytes);
  };

  it("opens parts that fit together and refuses those that do not", () => {
    const whole = openSplitGguf([part(0, 2), part(1, 2)]);
    expect([...whole.tensors.keys()]).toEqual(sampleTensors.slice(0, 2).map((t) => t.name));
    expect(whole.metadata.get("general.architecture")).toBe("llama");
    expect(whole.bytes((sampleTensors[1] as { name: string }).name).length).toBe(1024);
    expect(() => openSplitGguf([part(1, 2), part(0, 2)])).toThrow(/split.no/);
    expect(() => openSplitGguf([part(0, 3), part(1, 3)])).toThrow(/split.count/);
    expect(() => openSplitGguf([part(0, 2), part(1, 2, sampleTensors.slice(0, 1))])).toThrow(
      /is also in part0/,
    );
    expect(() => openSplitGguf([part(0, 2, sampleTensors.slice(0, 1), 9), part(1, 2)])).toThrow(
      /9 were announced/,
    );
  });
});
