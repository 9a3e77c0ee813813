/** FOVEA_DEBUG=1 prints every op of a step with its shapes, time and rates. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { gated, linear, Stream } from "../../src/ops/index.ts";
import { Job, subjects, useDevice } from "../support/devices.ts";
import { Random } from "../support/random.ts";
import { randomWeight } from "../support/weights.ts";

/** Runs a step and gives what it wrote to the standard error. */
async function printed(setting: string | undefined, step: () => Promise<unknown>): Promise<string[]> {
  vi.stubEnv("FOVEA_DEBUG", setting);
  let text = "";
  const write = vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await step();
  } finally {
    write.mockRestore();
  }
  return text === "" ? [] : text.trimEnd().split("\n");
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe.each(subjects)("$name", (subject) => {
  const on = useDevice(subject);

  async function step(): Promise<void> {
    const random = new Random(1);
    const job = new Job(on.device);
    const weight = job.weight("q8_0", [96, 64], randomWeight(random, "q8_0", [96, 64]).bytes);
    const y = linear(job.stream, job.f32(random.normals(3 * 64), 3, 64), weight);
    await job.run(gated(job.stream, y, y, "silu"));
  }

  it("prints a line for each op and one for the step", async () => {
    const lines = await printed("1", step);
    expect(lines).toHaveLength(3);
    const rates = / +\d+\.\d µs +\d+\.\d\d GB\/s +\d+\.\d\d GFLOP\/s /.source;
    expect(lines[0]).toMatch(
      new RegExp(`^linear${rates} x f32\\[3,64\\], weight q8_0\\[96,64\\], → y f32\\[3,96\\]$`),
    );
    expect(lines[1]).toMatch(
      new RegExp(`^gated${rates} gate f32\\[3,96\\], up f32\\[3,96\\], → y f32\\[3,96\\]$`),
    );
    expect(lines[2]).toMatch(new RegExp(`^step +\\d+\\.\\d µs, 2 ops on ${on.device.name}$`));
  });

  it("says nothing unless asked", async () => {
    expect(await printed(undefined, step)).toEqual([]);
    expect(await printed("0", step)).toEqual([]);
  });

  it("prints an empty step too", async () => {
    expect(await printed("1", () => new Stream(on.device).flush())).toEqual([
      expect.stringMatching(/^step +0\.0 µs, 0 ops on /),
    ]);
  });
});
