/** Number formats by their definitions: exhaustive where there are 65536 values, at the edges elsewhere. */
import { describe, expect, it } from "vitest";
import { ParameterError } from "../../src/base/errors.ts";
import { halfFrom, halfValue } from "../../src/format/half.ts";
import { formatBytes, formats, isFormat, shapedBytes } from "../../src/format/index.ts";
import { wave } from "../support/checkpoints.ts";
import { Random } from "../support/random.ts";

const all = Object.values(formats);
const blocks = all.filter((f) => f.block > 1);
const ofBlocks = all.filter((f) => f.rowBytes === 0);
const roundTrip = (format: (typeof all)[number], x: Float32Array): Float32Array => {
  const bytes = new Uint8Array(formatBytes(format.name, x.length));
  format.pack(x, bytes);
  const y = new Float32Array(x.length);
  format.unpack(bytes, y);
  return y;
};

describe("f16", () => {
  it("has the value that IEEE 754 defines for all 65536 bit patterns, and packs it back", () => {
    for (let h = 0; h < 65536; h++) {
      const exponent = (h >> 10) & 31;
      const mantissa = h & 1023;
      const magnitude =
        exponent === 31
          ? mantissa === 0
            ? Infinity
            : NaN
          : exponent === 0
            ? mantissa * 2 ** -24
            : (1024 + mantissa) * 2 ** (exponent - 25);
      const value = h & 0x8000 ? -magnitude : magnitude;
      expect(Object.is(halfValue[h], value)).toBe(true);
      if (!Number.isNaN(value)) expect(halfFrom(value)).toBe(h);
      else expect(halfFrom(value) & 0x7fff).toBeGreaterThan(0x7c00);
    }
  });

  it("rounds to the nearest value, ties to even", () => {
    for (let h = 0; h < 0x7bff; h++) {
      const middle = ((halfValue[h] as number) + (halfValue[h + 1] as number)) / 2;
      const step = middle * 2 ** -22;
      expect(halfFrom(middle)).toBe(h % 2 === 0 ? h : h + 1);
      expect(halfFrom(-middle)).toBe(0x8000 | (h % 2 === 0 ? h : h + 1));
      expect(halfFrom(middle - step)).toBe(h);
      expect(halfFrom(middle + step)).toBe(h + 1);
    }
  });

  it("refuses finite values that it cannot reach, and keeps infinity", () => {
    expect(roundTrip(formats.f16, Float32Array.of(65519, -65504))).toEqual(Float32Array.of(65504, -65504));
    expect(() => roundTrip(formats.f16, Float32Array.of(1, 65520))).toThrow(/f16: element 1 is 65520/);
    expect(roundTrip(formats.f16, Float32Array.of(Infinity, -Infinity, NaN))).toEqual(
      Float32Array.of(Infinity, -Infinity, NaN),
    );
  });
});

describe("bf16", () => {
  it("keeps all 65536 values and rounds to the nearest, ties to even", () => {
    const bytes = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);
    const values = new Float32Array(65536);
    formats.bf16.unpack(bytes, values);
    const back = new Uint8Array(bytes.length);
    formats.bf16.pack(values, back);
    const words = new Uint16Array(back.buffer);
    for (let b = 0; b < 65536; b++)
      if (Number.isNaN(values[b])) expect((words[b] as number) & 0x7fff).toBeGreaterThan(0x7f80);
      else expect(words[b]).toBe(b);
    // 1 + 2^-8 lies halfway between 1 and 1 + 2^-7; 1 + 3·2^-8 between 1 + 2^-7 and 1 + 2^-6.
    expect(
      roundTrip(formats.bf16, Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20)),
    ).toEqual(Float32Array.of(1, 1 + 2 ** -6, 1 + 2 ** -7));
  });

  it("refuses finite values that it cannot reach", () => {
    expect(() => roundTrip(formats.bf16, Float32Array.of(3.4028234e38))).toThrow(/bf16: element 0/);
  });
});

describe("all formats", () => {
  it.each(ofBlocks)("$name: lengths that do not fit are refused", (format) => {
    const floats = new Float32Array(format.block);
    const bytes = new Uint8Array(format.blockBytes);
    expect(() => format.unpack(bytes.subarray(1), floats)).toThrow(ParameterError);
    expect(() => format.pack(floats, new Uint8Array(format.blockBytes + 1))).toThrow(ParameterError);
    if (format.block > 1) {
      expect(() => format.pack(floats.subarray(1), bytes)).toThrow(/do not fit together/);
      expect(() => formatBytes(format.name, format.block + 1)).toThrow(ParameterError);
    }
    expect(formatBytes(format.name, 3 * format.block)).toBe(3 * format.blockBytes);
  });

  it.each(all)("$name: bytes of any alignment give the same numbers", (format) => {
    const random = new Random(7);
    const size = format.rowBytes + 2 * format.blockBytes;
    const bytes = Uint8Array.from({ length: size }, () => random.int(0, 255));
    const shifted = new Uint8Array(size + 1).subarray(1);
    shifted.set(bytes);
    const [a, b] = [new Float32Array(2 * format.block), new Float32Array(2 * format.block)];
    format.unpack(bytes, a);
    format.unpack(shifted, b);
    expect(new Uint32Array(a.buffer)).toEqual(new Uint32Array(b.buffer));
  });

  it("knows its names", () => {
    expect(isFormat("q4_K")).toBe(true);
    expect(isFormat("toString")).toBe(false);
  });
});

describe("block formats", () => {
  it.each(blocks)("$name: refuses what is not finite, naming the element", (format) => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const x = wave(2 * format.block);
      x[format.block + 5] = bad;
      expect(() => roundTrip(format, x)).toThrow(`${format.name}: element ${format.block + 5} is ${bad}`);
    }
  });

  it.each(blocks)("$name: keeps zeros, and blocks below the smallest scale become zeros", (format) => {
    for (const value of [0, 1e-12, -1e-30]) {
      const y = roundTrip(format, new Float32Array(format.block).fill(value));
      expect(y.every((v) => Math.abs(v - value) <= 1e-7)).toBe(true);
    }
  });

  it.each(blocks)("$name: keeps a constant block", (format) => {
    for (const value of [3, -3, 0.5]) {
      const y = roundTrip(format, new Float32Array(format.block).fill(value));
      for (const v of y) expect(Math.abs(v - value)).toBeLessThan(Math.abs(value) * 0.01);
    }
  });

  it.each(blocks)("$name: refuses scales beyond f16", (format) => {
    const x = wave(format.block).map((v) => v * 1e36);
    expect(() => roundTrip(format, x)).toThrow(/beyond the 65504/);
  });

  it.each(blocks)("$name: what was unpacked is packed again with little loss", (format) => {
    const y = roundTrip(format, wave(4 * format.block));
    const z = roundTrip(format, y);
    let error = 0;
    let size = 0;
    for (const [i, v] of y.entries()) {
      error += (v - (z[i] as number)) ** 2;
      size += v * v;
    }
    expect(Math.sqrt(error / size)).toBeLessThan(0.02);
  });
});

describe("i8_row", () => {
  const { i8_row } = formats;
  const packed = (rows: number, values: Float32Array): Uint8Array => {
    const bytes = new Uint8Array(shapedBytes("i8_row", [rows, values.length / rows]));
    i8_row.pack(values, bytes);
    return bytes;
  };

  it("is a scale and the codes of each row, of any length", () => {
    const bytes = packed(2, Float32Array.of(127, -12.7, 0.49, 0, 0, 254));
    const view = new DataView(bytes.buffer);
    expect(bytes.length).toBe(2 * (4 + 3));
    expect([view.getFloat32(0, true), view.getFloat32(7, true)]).toEqual([1, 2]);
    expect([...new Int8Array(bytes.buffer, 4, 3), ...new Int8Array(bytes.buffer, 11, 3)]).toEqual([
      127, -13, 0, 0, 0, 127,
    ]);
    expect(formatBytes("i8_row", 6, 2)).toBe(14);
    expect(shapedBytes("i8_row", [2, 3])).toBe(14);
    expect(shapedBytes("i8_row", [5, 2, 3])).toBe(70);
    expect(packed(1, new Float32Array(0))).toEqual(new Uint8Array(4));
  });

  it("is within half a step of every number, small and large, and keeps zeros", () => {
    const random = new Random(3);
    for (const size of [1e-30, 1, 1e30])
      for (const k of [1, 7, 300]) {
        const values = random.normals(3 * k).map((v, i) => (i < k ? 0 : v * size));
        const back = new Float32Array(values.length);
        i8_row.unpack(packed(3, values), back);
        for (let row = 0; row < 3; row++) {
          const top = values
            .subarray(row * k, (row + 1) * k)
            .reduce((max, v) => Math.max(max, Math.abs(v)), 0);
          for (let i = row * k; i < (row + 1) * k; i++)
            expect(Math.abs(back[i]! - values[i]!)).toBeLessThanOrEqual((top / 254) * 1.00001);
        }
      }
  });

  it("reads the code -128, which it does not write", () => {
    const back = new Float32Array(2);
    const bytes = packed(1, Float32Array.of(127, -127));
    bytes[4] = 128;
    i8_row.unpack(bytes, back);
    expect([...back]).toEqual([-128, -127]);
  });

  it("refuses bytes that are no whole rows, and what is not finite", () => {
    for (const [elements, bytes] of [
      [6, 6],
      [6, 11],
      [6, 6 + 4 * 4],
      [0, 3],
    ] as const) {
      expect(() => i8_row.pack(new Float32Array(elements), new Uint8Array(bytes))).toThrow(/do not fit/);
      expect(() => i8_row.unpack(new Uint8Array(bytes), new Float32Array(elements))).toThrow(/do not fit/);
    }
    for (const bad of [NaN, Infinity, -Infinity])
      expect(() => packed(2, Float32Array.of(1, 2, bad, 4))).toThrow(`i8_row: element 2 is ${bad}`);
  });
});
