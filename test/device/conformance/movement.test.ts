/** Ops that move values: copy, gather, embed, pack. Exact. */
import { describe, expect, it } from "vitest";
import { type FormatName, formatBytes, formats } from "../../../src/format/index.ts";
import { embed, gather, Tensor, tensorBytes } from "../../../src/ops/index.ts";
import { both, Job, layoutsOf, subjects, useDevice } from "../../support/devices.ts";
import { expectSameBits, widths } from "../../support/numerics.ts";
import { Random } from "../../support/random.ts";
import { randomWeight } from "../../support/weights.ts";

const formatNames = Object.keys(formats) as FormatName[];

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  it("copy keeps every byte, of any dtype, to another shape and place", async () => {
    const random = new Random(1);
    for (const [dtype, d] of [
      ["f32", 33],
      ["i32", 5],
      ["f16", 7],
      ["q4_K", 256],
      ["f32", 100_003],
      ["f16", 0],
    ] as const) {
      const bytes = Uint8Array.from({ length: tensorBytes(dtype, [3, d]) }, () => random.int(0, 255));
      const job = new Job(on.device);
      const source = job.buffer(dtype, [5, d]);
      on.device.write(source.storage as { id: number; bytes: number }, tensorBytes(dtype, [1, d]), bytes);
      const target = job.stream.empty(dtype, [3 * d]);
      job.stream.push({ kind: "copy", x: source.rows(1, 4), y: target });
      expect(Buffer.compare((await job.bytes(target))[0]!, bytes), dtype).toBe(0);
    }
  });

  it("gather takes rows in any order, again and again, or none", async () => {
    const random = new Random(2);
    for (const d of widths)
      for (const n of [0, 1, 5, 70]) {
        const x = random.normals(9 * d);
        x[0] = Number.NaN;
        const index = Array.from({ length: n }, () => random.int(0, 8));
        const { actual } = await both(on.device, (job) => [
          gather(job.stream, job.f32(x, 9, d), job.i32(index, n)),
        ]);
        const wanted = index.flatMap((row) => [...x.subarray(row * d, (row + 1) * d)]);
        expectSameBits(actual[0]!, Float32Array.from(wanted), `gather ${n} of [9,${d}]`);
      }
  });

  it.each(formatNames)("embed decodes the rows of a %s table, as rows and as panels", async (format) => {
    const random = new Random(3);
    const { block } = formats[format];
    for (const [v, blocks] of [
      [1, 1],
      [7, 3],
      [33, 5],
    ] as const) {
      const d = blocks * block;
      const table = randomWeight(random, format, [v, d]);
      const ids = [v - 1, 0, ...Array.from({ length: 9 }, () => random.int(0, v - 1)), -1, v, 2 ** 31 - 1];
      for (const layout of layoutsOf(on.device, format, [v, d])) {
        const job = new Job(on.device);
        const y = embed(
          job.stream,
          job.weight(format, [v, d], table.bytes, layout),
          job.i32(ids, ids.length),
        );
        const [actual] = await job.run(y);
        // An id outside the table reads row 0.
        const wanted = ids.flatMap((id) => {
          const row = id >= 0 && id < v ? id : 0;
          return [...table.values.subarray(row * d, (row + 1) * d)];
        });
        expectSameBits(actual!, Float32Array.from(wanted), `${format} [${v},${d}] in ${layout}`);
      }
    }
  });

  it.each(formatNames)("embed reads a %s table at any byte of a file", async (format) => {
    const random = new Random(4);
    const [v, d] = [5, 2 * formats[format].block];
    const table = randomWeight(random, format, [v, d]);
    for (const offset of [0, 1, 2, 3, 5, 31]) {
      const file = new Uint8Array(table.bytes.length + offset);
      file.set(table.bytes, offset);
      const job = new Job(on.device);
      const [actual] = await job.run(
        embed(job.stream, job.weight(format, [v, d], file.subarray(offset)), job.i32([4, 2], 2)),
      );
      const wanted = [...table.values.subarray(4 * d), ...table.values.subarray(2 * d, 3 * d)];
      expectSameBits(actual!, Float32Array.from(wanted), `${format} at byte ${offset}`);
    }
  });

  it("a stack of matrices packs as its matrices", async () => {
    const random = new Random(5);
    for (const format of formatNames) {
      const [e, m, k] = [3, 20, 256];
      if (on.device.panelBytes(format, [e, m, k]) === undefined) continue;
      const stack = randomWeight(random, format, [e, m, k]);
      const job = new Job(on.device);
      const packed = job.weight(format, [e, m, k], stack.bytes, "panels");
      const one = formatBytes(format, m * k, m);
      const alone = Array.from({ length: e }, (_, i) =>
        job.weight(format, [m, k], stack.bytes.subarray(i * one, (i + 1) * one), "panels"),
      );
      const raw = (tensor: Tensor): Tensor => new Tensor("i32", [tensor.storage.bytes / 4], tensor.storage);
      const [whole, ...parts] = await job.bytes(raw(packed), ...alone.map(raw));
      expect(whole!.length).toBe(parts.reduce((sum, part) => sum + part.length, 0));
      expect(Buffer.compare(Buffer.concat(parts), whole!), format).toBe(0);
    }
  });
});
