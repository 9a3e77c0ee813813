/**
 * Builds and runs the tests of the kernels, without Node's add-on and without JavaScript:
 *
 *     node kernels/test/run.mjs              as they are shipped, and those of aarch64 under qemu
 *     node kernels/test/run.mjs --sanitize   under the sanitizers of addresses, undefined behaviour and threads
 *
 * What cannot be tested here is named, with the reason.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { flagsOf, tablesFlag, unknownTo } from "../../scripts/build-native.mjs";

const kernels = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "fovea-kernels-test-"));
const common = ["-std=c++17", "-ffp-contract=off", "-pthread", "-Wall", "-Wextra", "-I."];
const compiler = process.env.CXX ?? "g++";
const exists = (command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;

/** So many jobs at a time as there are cores. */
let free = availableParallelism();
const waiting = [];
async function job(work) {
  if (free === 0) await new Promise((resolve) => waiting.push(resolve));
  else free--;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free++;
  }
}

/** Rejects, with what the program said, when it fails. */
const run = (command, args, env = {}) =>
  job(
    () =>
      new Promise((resolve, reject) => {
        const child = spawn(command, args, { cwd: kernels, env: { ...process.env, ...env } });
        let said = "";
        for (const stream of [child.stdout, child.stderr])
          stream.on("data", (data) => {
            said += data;
          });
        child.on("error", reject);
        child.on("close", (code, signal) =>
          code === 0
            ? resolve(said)
            : reject(new Error(`${[command, ...args].join(" ")}: ${signal ?? code}\n${said}`)),
        );
      }),
  );

/** Waits for all of them; rejects with what each said that failed. */
async function all(promises) {
  const failed = (await Promise.allSettled(promises)).filter(({ status }) => status === "rejected");
  if (failed.length > 0) throw new Error(failed.map(({ reason }) => reason.message).join("\n"));
}

/**
 * One way of building: all tests for the instruction sets `isas` of a kind of machine, run by `runner` (an
 * emulator) when there is one. `size`: "tiny" for a few shapes, else all.
 */
async function suite(name, { arch = process.arch, isas, flags, cxx = compiler, runner, size }) {
  const start = performance.now();
  const at = (file) => join(folder, `${name.replaceAll(/\W+/g, "-")}-${file}`);
  const compile = (flags_, source, output) =>
    run(cxx, [...common, ...flags, ...flags_, "-c", source, "-o", output]);
  const tables = tablesFlag(isas);
  const own = (isa) => [...(flagsOf[arch]?.[isa] ?? []), `-DFOVEA_ISA_${isa.toUpperCase()}`];
  const plain = ["cpu", "dispatch", "engine", "interpreter", "memory", "wait"];
  await all([
    ...isas.map((isa) => compile(own(isa), "isa.cpp", at(`${isa}.o`))),
    ...isas.map((isa) => compile(own(isa), "test/math_test.cpp", at(`math-${isa}.o`))),
    ...plain.map((source) => compile([tables], `${source}.cpp`, at(`${source}.o`))),
    ...["linear", "rounded", "attend", "program", "engine"].map((test) =>
      compile([tables], `test/${test}_test.cpp`, at(`${test}_test.o`)),
    ),
  ]);
  const objects = (...names) => names.map((object) => at(`${object}.o`));
  const link = (output, ...parts) => run(cxx, [...common, ...flags, ...objects(...parts), "-o", at(output)]);
  const launch = async (test, args, env) => {
    const said = await (runner ? run(runner, [at(test), ...args], env) : run(at(test), args, env));
    for (const line of said.trim().split("\n"))
      if (/SKIPPED/.test(line)) console.log(`${name}: ${test}: ${line}`);
  };
  const one = (test) =>
    link(test, `${test}_test`, ...isas, "interpreter", "wait", "cpu").then(() =>
      launch(test, size ? [size] : []),
    );
  await all([
    one("linear"),
    one("rounded"),
    one("attend"),
    one("program"),
    ...isas.map((isa) => link(`math-${isa}`, `math-${isa}`, "cpu").then(() => launch(`math-${isa}`, []))),
    link("engine", "engine_test", ...isas, ...plain).then(async () => {
      // Plans so small that one thread runs them, and the same by all threads.
      for (const threads of ["1", "2", "5"]) await launch("engine", [threads, "300"]);
      for (const threads of ["2", "5"]) await launch("engine", [threads, "300"], { FOVEA_ALONE: "0" });
    }),
  ]);
  console.log(`${name}: ${isas.join(", ")}: ok (${((performance.now() - start) / 1000).toFixed(0)} s)`);
}

/** The instruction sets of this machine that the compiler knows. */
let host = Object.keys(flagsOf[process.arch] ?? { scalar: [] });

async function shipped() {
  await suite("plain", { isas: host, flags: ["-O2"] });
  if (process.arch === "arm64") return;
  const cxx = "aarch64-linux-gnu-g++";
  const absent = [cxx, "qemu-aarch64"].filter((command) => !exists(command));
  if (absent.length > 0) console.log(`aarch64: SKIPPED, no ${absent.join(", no ")}`);
  else
    await suite("aarch64", {
      arch: "arm64",
      isas: ["neon_dot", "neon"],
      flags: ["-O2", "-static"],
      cxx,
      runner: "qemu-aarch64",
      size: "tiny",
    });
}

async function sanitized() {
  // -O1: what is optimized away is not checked.
  const flags = ["-O1", "-g1", "-fno-sanitize-recover=all"];
  /** Whether an empty program of these flags can be built, and runs. */
  const works = (...flags) => {
    const main = ["-x", "c++", "-", "-o", join(folder, "probe")];
    const probe = { input: "int main() {}", stdio: ["pipe", "ignore", "ignore"] };
    return (
      spawnSync(compiler, [...flags, ...main], probe).status === 0 &&
      spawnSync(join(folder, "probe"), { stdio: "ignore" }).status === 0
    );
  };
  for (const sanitizer of ["address", "undefined", "thread"])
    if (!works(`-fsanitize=${sanitizer}`))
      throw new Error(`programs of ${compiler} -fsanitize=${sanitizer} do not run here`);
  // Tiles are unrolled into thousands of accesses, and the checks of each take most of the compiler's time. So an
  // address is checked by a call (as GCC says it, or clang), and once: what is undefined in how it was computed
  // shows when it is used.
  const threshold = "asan-instrumentation-with-call-threshold=0";
  const calls = [
    ["--param", threshold],
    ["-mllvm", `-${threshold}`],
  ].find((flags) => works("-fsanitize=address", ...flags));
  const addresses = ["-fsanitize=address,undefined", "-fno-sanitize=null,object-size,pointer-overflow"];
  await all([
    suite("addresses, undefined behaviour", {
      isas: host,
      flags: [...flags, ...addresses, ...(calls ?? [])],
      size: "tiny",
    }),
    // Where threads meet and share is the same code for all: the best set (with its tiles) and the plainest.
    suite("threads", {
      isas: [...new Set([host[0], "scalar"])],
      flags: [...flags, "-fsanitize=thread"],
      size: "tiny",
    }),
  ]);
}

try {
  if (!exists(compiler)) throw new Error(`no compiler ${compiler}; install it or name one with CXX`);
  const unknown = unknownTo(compiler);
  if (unknown.length > 0) console.log(`${unknown.join(", ")}: SKIPPED, ${compiler} is too old`);
  host = host.filter((isa) => !unknown.includes(isa));
  await (process.argv.includes("--sanitize") ? sanitized() : shipped());
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
