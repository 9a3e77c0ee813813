/** The add-on at the edges of a process: exits, worker threads, collected engines. Each case is a process. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const addon = fileURLToPath(new URL("../../../build/fovea.node", import.meta.url));

/** Plain JavaScript, in which `a` is the add-on and `run(engine, times)` runs a plan of so many slow ops. */
const prelude = `
const a = require(${JSON.stringify(addon)});
const n = 1 << 20;
const scale = a.ops().split(",").findIndex((op) => op.startsWith("scale "));
const tensor = (at) => [0, at, 0, 0, 1, n, 1, 1];
const none = new Float64Array(0);
function run(engine, times, output = new Uint8Array(8)) {
  const op = [scale, 19, ...tensor(0), ...tensor(4 * n), 2];
  const words = Float64Array.from(Array.from({ length: times }, () => op).flat());
  const plan = a.prepare(engine, words, 8 * n, none, [], new Float64Array([0, 4 * n]), [output], undefined);
  return a.run(engine, plan, [engine, output]);
}
`;

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
}

function node(source: string, ...flags: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...flags, "-e", prelude + source], { timeout: 60_000 });
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data) => {
        out += data;
      });
    child.on("close", (code, signal) => resolve({ code, signal, out }));
  });
}

const ok = (out: string): Ended => ({ code: 0, signal: null, out });

describe.skipIf(!existsSync(addon))("the add-on", () => {
  it("lets a process end whose engine is idle, closed or not", async () => {
    expect(await node(`a.createEngine(2, ""); console.log("end")`)).toEqual(ok("end\n"));
    const closed = `const e = a.createEngine(2, ""); run(e, 3).then(() => { a.closeEngine(e); console.log("end"); })`;
    expect(await node(closed)).toEqual(ok("end\n"));
  });

  it("keeps a process alive until its plans have run", async () => {
    expect(await node(`run(a.createEngine(2, ""), 200).then(() => console.log("ran"))`)).toEqual(ok("ran\n"));
  });

  it("ends at once when the process exits while a plan runs", async () => {
    const start = performance.now();
    const source = `run(a.createEngine(2, ""), 1e5); run(a.createEngine(3, ""), 1e5); setTimeout(() => process.exit(0), 30)`;
    expect(await node(source)).toEqual(ok(""));
    expect(performance.now() - start).toBeLessThan(50_000);
  });

  it("ends with its worker thread, in the middle of a plan", async () => {
    const source = `
const { Worker } = require("node:worker_threads");
const inside = ${JSON.stringify(prelude)} + 'run(a.createEngine(2, ""), 1e5); require("node:worker_threads").parentPort.postMessage(0);';
let left = 5;
for (let i = 0; i < 5; i++) {
  const worker = new Worker(inside, { eval: true });
  worker.on("message", () => setTimeout(() => worker.terminate().then(() => --left || console.log("end")), 5 * i));
}`;
    expect(await node(source)).toEqual(ok("end\n"));
  });

  it("gives back engines and mappings that are collected, after their plans have run", async () => {
    const source = `
const fs = require("node:fs");
const mappings = () => fs.existsSync("/proc/self/maps") ? fs.readFileSync("/proc/self/maps", "utf8").split(process.execPath).length : 0;
const threads = () => fs.existsSync("/proc/self/task") ? fs.readdirSync("/proc/self/task").length : 0;
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
(async () => {
  const before = [mappings(), threads()];
  let sum = 0;
  for (let i = 0; i < 30; i++) {
    const bytes = new Uint8Array(a.mapFile(process.execPath, 100 + i, 5000 + i));
    const engine = a.createEngine(2, "");
    a.adopt(engine, bytes);
    const p = run(engine, 5);
    if (i % 2) await p; else p.then(() => sum++);
  }
  for (let i = 0; i < 20; i++) { gc(); await turn(); }
  const after = [mappings(), threads()];
  console.log(sum, after[0] - before[0] < 3, after[1] - before[1] < 4);
})()`;
    expect(await node(source, "--expose-gc")).toEqual(ok("15 true true\n"));
  });

  it("lets go of what plans use when an engine is closed while they run", async () => {
    const source = `
const e = a.createEngine(2, "");
const gone = new Set();
const registry = new FinalizationRegistry((name) => gone.add(name));
(() => {
  const output = new Uint8Array(8), bytes = new Uint8Array(64);
  registry.register(output, "output");
  registry.register(bytes, "adopted");
  const adopted = a.adopt(e, bytes);
  run(e, 1e4, output);
  a.free(e, adopted);
})();
a.closeEngine(e);
(async () => {
  for (let i = 0; i < 200 && gone.size < 2; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
  console.log([...gone].sort().join(" "));
})();`;
    expect(await node(source, "--expose-gc")).toEqual(ok("adopted output\n"));
  });

  it("refuses wrong calls and goes on", async () => {
    const source = `
const problems = [];
const attempt = (f) => { try { f(); problems.push("no error"); } catch (error) { problems.push(error.message); } };
attempt(() => a.mapFile("/nonexistent/file", 0, 1));
attempt(() => a.mapFile(process.execPath, 0, 2 ** 50));
attempt(() => a.mapFile(process.execPath, -1, 5));
attempt(() => a.mapFile());
attempt(() => a.createEngine(1, "mmx"));
attempt(() => a.allocate({}, 5));
const e = a.createEngine(1, "");
attempt(() => a.allocate(e, 2 ** 52));
attempt(() => a.free(e, 7));
attempt(() => a.write(e, a.allocate(e, 10), 5, new Uint8Array(6)));
attempt(() => a.dropPages(new ArrayBuffer(10), 5, 6));
const plan = (buffer, uploads = none, outputs = none) =>
  a.prepare(e, Float64Array.of(scale, 19, buffer, 0, 0, 0, 1, 1, 1, 1, ...tensor(0), 2), 64,
    uploads, [...uploads].map(() => new Uint8Array(8)), outputs, outputs.length ? [new Uint8Array(8)] : [], undefined);
attempt(() => plan(9));
attempt(() => a.run(a.createEngine(1, ""), plan(0), []));
attempt(() => plan(0, Float64Array.of(0, 57)));
attempt(() => plan(0, none, Float64Array.of(0, 57)));
attempt(() => plan(0, none, Float64Array.of(1, 3)));
attempt(() => plan(0, none, Float64Array.of(9, 0)));
attempt(() => a.createEngine(0, ""));
attempt(() => a.createEngine(2 ** 32, ""));
console.log(problems.join("\\n"));
run(e, 1).then(() => { a.closeEngine(e); attempt(() => a.allocate(e, 5)); console.log(problems.at(-1)); });
`;
    const { out, code } = await node(source);
    expect(code).toBe(0);
    const lines = out.trim().split("\n");
    for (const [i, wanted] of [
      /nonexistent\/file: No such file/,
      /has \d+ bytes, not/,
      /size is -1/,
      /add-on: /,
      /FOVEA_ISA is "mmx", which is not in this build; it can be .*scalar/,
      /add-on: /,
      /4503599627370496 bytes/,
      /no buffer 7/,
      /6 bytes at 5 do not fit a buffer of 10/,
      /outside the buffer/,
      /names buffer 9, which does not exist/,
      /prepared for another engine/,
      /an upload of the plan lies outside the arena/,
      /an output of the plan lies outside its buffer/,
      /an output of the plan lies outside its buffer/,
      /names buffer 9, which does not exist/,
      /no 0 threads/,
      /no 4294967296 threads/,
      /engine is closed/,
    ].entries())
      expect(lines[i]).toMatch(wanted);
  });
});
