/** Schedules, logs, progress and curves; sessions themselves are tested by recipes that are killed. */
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { curvesOf, Log, type LogLine, plot, progressText, readLog } from "../../../src/learn/index.ts";
import { duration, screenOn } from "../../../src/learn/progress.ts";
import { cosine, warmupStableDecay } from "../../../src/learn/schedule.ts";
import { ticksOf } from "../../../src/learn/ticks.ts";
import { runCli } from "../../support/run-cli.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

describe("schedules", () => {
  it("rise, and fall along a cosine", () => {
    const rate = cosine({ peak: 1, warmup: 4, steps: 104, floor: 0.2 });
    expect([0, 1, 3, 4].map(rate)).toEqual([0.25, 0.5, 1, 1]);
    expect(rate(54)).toBeCloseTo(0.6, 12);
    expect(rate(104)).toBeCloseTo(0.2, 12);
    expect(rate(1000)).toBeCloseTo(0.2, 12);
    expect(() => cosine({ peak: 1, warmup: 5, steps: 4 })).toThrow(/steps: 4 are fewer/);
    expect(() => cosine({ peak: 0, warmup: 5, steps: 40 })).toThrow(/peak: must be above 0/);
  });

  it("stay until they are told to fall", () => {
    const stable = warmupStableDecay({ peak: 2, warmup: 2 });
    expect([0, 1, 2, 1e6].map(stable)).toEqual([1, 2, 2, 2]);
    const falling = warmupStableDecay({ peak: 2, warmup: 2, decay: { from: 10, steps: 4 } });
    expect(falling(9)).toBe(2);
    expect(falling(10)).toBeCloseTo(2 * (1 - 0.5), 12);
    expect(falling(13)).toBe(0);
    expect(falling(20)).toBe(0);
    expect(() => warmupStableDecay({ peak: 2, warmup: 2, decay: { from: 1, steps: 0 } })).toThrow(/decay/);
  });
});

const step = (at: number, loss: number): LogLine => ({
  ...{
    kind: "step",
    step: at,
    tokens: 100 * at,
    loss,
    norm: 1,
    rate: 1e-3,
    seconds: at / 2,
    tokensPerSecond: 200,
  },
});
const validation = (at: number, loss: number): LogLine => ({
  ...{ kind: "validation", step: at, tokens: 100 * at, loss, seconds: at / 2, bits_per_byte: loss / 2 },
});
const lines = Array.from({ length: 50 }, (_, i) => step(10 * (i + 1), 1 + 3 / (i + 1)));
const path = join(folder, "run.jsonl");
{
  const log = new Log(path, 0);
  for (const [i, line] of lines.entries()) {
    log.write(line);
    if (i % 10 === 9) log.write(validation(line.step, line.loss + 0.1));
  }
  log.close();
}

describe("a log", () => {
  it("is cut to where the state was saved, and goes on there", () => {
    const other = join(folder, "cut.jsonl");
    const log = new Log(other, 0);
    log.write(step(1, 3));
    const { position } = log;
    log.write(step(2, 2));
    log.close();
    const again = new Log(other, position);
    again.write(step(2, 1.5));
    again.close();
    expect(readLog(other).map(({ loss }) => loss)).toEqual([3, 1.5]);
    truncateSync(other, position + 5);
    expect(readLog(other)).toHaveLength(1);
    truncateSync(other, 3);
    expect(() => new Log(other, position)).toThrow(/is shorter than when/);
    writeFileSync(other, '{"step":1}\n');
    expect(() => readLog(other)).toThrow(/line 1 is not of a training.s log/);
  });
});

describe("progress", () => {
  it("tells loss, speed and time left", () => {
    const progress = {
      step: 7,
      end: 100,
      loss: 2.34567,
      tokensPerSecond: 5123.4,
      gigaflops: 171.2,
      secondsLeft: 3725,
    };
    expect(progressText(progress)).toBe(
      "step 7 of 100 · loss 2.3457 · 5123 tokens/s · 171 GFLOP/s · 1 h 2 min left",
    );
    const endless = { ...progress, end: Number.POSITIVE_INFINITY, secondsLeft: Number.POSITIVE_INFINITY };
    expect(progressText(endless)).toBe("step 7 · loss 2.3457 · 5123 tokens/s · 171 GFLOP/s");
    expect([0.4, 59.6, 3599.6].map(duration)).toEqual(["0 s", "1 min 0 s", "1 h 0 min"]);
  });

  it("changes one line of a terminal, and writes few to a file", () => {
    const written: string[] = [];
    const terminal = screenOn({ isTTY: true, columns: 10, write: (text) => written.push(text) });
    terminal.update("a long line of text");
    terminal.update("at once again");
    terminal.line("stays");
    terminal.end();
    expect(written).toEqual(["\ra long li\x1b[K", "\r\x1b[K", "stays\n"]);
    const file: string[] = [];
    const screen = screenOn({ write: (text) => file.push(text) });
    screen.update("one");
    screen.update("two");
    screen.end();
    expect(file).toEqual(["one\n"]);
  });
});

describe("curves", () => {
  it("have marks at round numbers", () => {
    expect(ticksOf(0, 100, 5).ticks).toEqual([0, 20, 40, 60, 80, 100]);
    expect(ticksOf(1.21, 1.48, 6).labels).toEqual(["1.20", "1.25", "1.30", "1.35", "1.40", "1.45", "1.50"]);
    expect(ticksOf(0, 3e7, 3).labels).toEqual(["0", "10 M", "20 M", "30 M"]);
    expect(ticksOf(0, 25_000, 5).labels.at(-1)).toBe("25 k");
    expect(ticksOf(2, 2, 5).ticks.length).toBeGreaterThan(1);
  });

  it("lie where the numbers are", () => {
    const curves = curvesOf("run <1>", readLog(path), "step");
    expect(curves.map(({ name }) => name)).toEqual(["run <1>: training", "run <1>: validation"]);
    expect(curves[1]!.points).toHaveLength(5);
    const svg = plot(curves, { title: "A & B", xLabel: "steps", yLabel: "loss" });
    expect(svg).toContain("A &amp; B");
    expect(svg).toContain("run &lt;1&gt;: validation");
    const points = /<polyline[^>]* points="([^"]+)"/
      .exec(svg)![1]!
      .split(" ")
      .map((pair) => pair.split(",").map(Number));
    expect(points).toHaveLength(50);
    // Further right, and lower on the page as the loss falls.
    for (let i = 1; i < 50; i++) {
      expect(points[i]![0]).toBeGreaterThan(points[i - 1]![0]!);
      expect(points[i]![1]).toBeGreaterThanOrEqual(points[i - 1]![1]!);
    }
    expect(points.flat().every(Number.isFinite)).toBe(true);
    const long = Array.from({ length: 5000 }, (_, i) => step(i + 1, 1));
    expect(curvesOf("x", long, "tokens")[0]!.points.length).toBeLessThanOrEqual(400);
    expect(curvesOf("x", long, "minutes")[0]!.points.at(-1)![0]).toBeCloseTo(5000 / 2 / 60, 9);
  });

  it("are drawn by the command line", async () => {
    const out = join(folder, "curves.svg");
    const ran = await runCli([
      "plot",
      path,
      path,
      "--x",
      "minutes",
      "--figure",
      "bits_per_byte",
      "--out",
      out,
    ]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    const svg = readFileSync(out, "utf8");
    expect(svg).toContain("minutes of training");
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect((await runCli(["plot", path, "--out", "-"])).out).toContain("</svg>");
    const none = await runCli(["plot", path, "--figure", "wit"]);
    expect(none).toMatchObject({ code: 1, err: expect.stringMatching(/no line of these logs has a "wit"/) });
    expect(await runCli(["plot", join(folder, "absent")])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/absent: no such file/),
    });
  });
});
