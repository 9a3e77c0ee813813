/**
 * The machine that a measurement was made on, how fast it reads memory, and how much others disturbed it.
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
      "node-llama-cpp": version("node_modules/node-llama-cpp/package.json"),
    },
    commit: commit(),
  };
}

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

/** GB/s at which this many threads read memory; undefined without a C++ compiler. */
export function readBandwidth(threads) {
  const source = here("bandwidth.cpp");
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const folder = join(tmpdir(), "fovea-bench");
  const program = join(folder, `bandwidth-${hash}`);
  try {
    mkdirSync(folder, { recursive: true });
    if (!existsSync(program))
      execFileSync(process.env.CXX ?? "c++", ["-O3", "-march=native", "-pthread", source, "-o", program], {
        stdio: "pipe",
      });
    return Number(execFileSync(program, [String(threads)], { encoding: "utf8" }));
  } catch (error) {
    console.error(`the bandwidth of memory is not measured: ${error.message.split("\n")[0]}`);
    return undefined;
  }
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

/** Waits until others keep less than `bound` cores busy for a second; false when they do not within `seconds`. */
export async function waitForQuiet(pids, bound, seconds) {
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    const used = watchOthers(pids);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (used() < bound) return true;
  }
  return false;
}
