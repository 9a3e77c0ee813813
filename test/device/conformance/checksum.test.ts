/** The checksums of memory, and the name of the layout that goes with them into files. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type FormatName, formats } from "../../../src/format/index.ts";
import { checksum, Tensor } from "../../../src/ops/index.ts";
import { both, Job, subjects, useDevice } from "../../support/devices.ts";
import { Random } from "../../support/random.ts";
import { randomWeight } from "../../support/weights.ts";

const random = (seed: number, count: number): Int32Array => {
  const draws = new Random(seed);
  return Int32Array.from({ length: count }, () => draws.int(0, 2 ** 32 - 1));
};

/** The equation of the op, word by word, in integers of any size. */
function plain(words: Int32Array): number[] {
  const mod = 2n ** 32n;
  const turn = (v: bigint, b: bigint): bigint => ((v << b) | (v >> (32n - b))) % mod;
  const lanes = Array.from({ length: 64 }, (_, l) => BigInt(l + 1));
  words.forEach((x, i) => {
    lanes[i % 64] = turn(((lanes[i % 64]! ^ BigInt(x >>> 0)) * 0x9e3779b1n) % mod, 15n);
  });
  let [first, second] = [BigInt(words.length), BigInt(words.length)];
  for (const lane of lanes) {
    first = turn(((first ^ lane) * 0x9e3779b1n) % mod, 15n);
    second = turn((((second + lane) % mod) * 0x85ebca77n) % mod, 13n);
  }
  return [Number(first) | 0, Number(second) | 0];
}

/**
 * The layouts that files may hold: what a name stands for never changes, though formats may join. SHA-256 of the
 * formats, packed.
 */
const layouts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "panels16-1": {
    "f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q4_K q5_K q6_K":
      "bd69397ccf9e82b47de0ae628aca100befdbc98072c8036659577937347006b3",
    i8_row: "fc6ad6385e4956efb043d6e4c5acf026cc306b32a41158d720ae6a7a5fb3b28f",
  },
};

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it("sums as the equation says, chunk by chunk", async () => {
    for (const count of [0, 16, 48, 64, 80, 1008, 65_536, 65_552, 3 * 65_536 + 2000]) {
      const words = random(count, count);
      const job = new Job(on.device);
      const [bytes] = await job.bytes(checksum(job.stream, job.stream.constant(words)));
      const wanted: number[] = [];
      for (let at = 0; at < count; at += 65_536) wanted.push(...plain(words.subarray(at, at + 65_536)));
      expect([...new Int32Array(bytes!.slice().buffer)], `${count} words`).toEqual(wanted);
    }
  });

  it("sees every bit, at any address", async () => {
    const words = random(1, 160);
    const sums = async (bytes: Uint8Array): Promise<string> => {
      const buffer = on.device.adopt(bytes);
      const job = new Job(on.device);
      const x = new Tensor("i32", [160], buffer);
      const [sum] = await job.bytes(checksum(job.stream, x));
      on.device.free(buffer);
      return Buffer.from(sum!).toString("hex");
    };
    const all = new Uint8Array(words.buffer);
    const whole = await sums(all);
    const shifted = new Uint8Array(all.length + 3);
    shifted.set(all, 3);
    expect(await sums(shifted.subarray(3))).toBe(whole);
    const seen = new Set([whole]);
    for (let bit = 0; bit < 8 * all.length; bit += 7) {
      const changed = all.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      seen.add(await sums(changed));
    }
    expect(seen.size).toBe(1 + Math.ceil((8 * all.length) / 7));
  });

  it("has panels whose bytes are those that their name stands for", async () => {
    const { panelLayout } = on.device;
    if (panelLayout === undefined) return expect(subject.name).toBe("reference");
    const known = layouts[panelLayout] ?? {};
    expect(Object.keys(known).join(" ")).toBe(Object.keys(formats).join(" "));
    for (const [names, wanted] of Object.entries(known)) {
      const draws = new Random(7);
      const hash = createHash("sha256");
      for (const format of names.split(" ") as FormatName[]) {
        const weight = randomWeight(draws, format, [21, 768]);
        const job = new Job(on.device);
        const { storage } = job.weight(format, [21, 768], weight.bytes, "panels");
        hash.update((await job.bytes(new Tensor("i32", [storage.bytes / 4], storage)))[0]!);
      }
      // Another hash means that the layout has changed: give it a new name, in kernels/linear/formats.h.
      expect(hash.digest("hex"), names).toBe(wanted);
    }
  });
});

it("the reference sums as the devices do", async () => {
  for (const { open } of subjects) {
    const device = await open(2);
    const words = random(5, 70_000);
    const { actual, wanted } = await both(device, (job) => [
      // Read as f32 bits by `both`.
      checksum(job.stream, job.stream.constant(words)),
    ]);
    expect(new Uint8Array(actual[0]!.buffer)).toEqual(new Uint8Array(wanted[0]!.buffer));
    await device.close();
  }
});
