/**
 * Builds build/fovea.node, the native device and file mapping, with the machine's own C++ compiler. Needs Node
 * and that compiler, nothing else. Without a compiler Fovea runs as WebAssembly: `--optional` says so and
 * succeeds; otherwise a failure is a failure.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { includesOf } from "./includes.mjs";
import { isMain } from "./main.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const kernels = join(root, "kernels");
const build = join(root, "build");
const output = join(build, "fovea.node");
const objects = join(build, "objects");

const common = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-pthread"];
const isaFlags = ["-fno-exceptions", "-fno-rtti", "-fno-math-errno"];
const avx2 = ["-mavx2", "-mfma", "-mf16c"];
const avx512 = [...avx2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"];
/** Flags of the instruction sets of each kind of machine, best first: the first that runs is used. */
export const flagsOf = {
  x64: {
    amx: [...avx512, "-mavx512vnni", "-mavx512bf16", "-mamx-tile", "-mamx-int8", "-mamx-bf16"],
    avx512_vnni: [...avx512, "-mavx512vnni"],
    avx512,
    avx_vnni: [...avx2, "-mavxvnni"],
    avx2,
    scalar: [],
  },
  arm64: { neon_dot: ["-march=armv8.2-a+dotprod"], neon: [], scalar: [] },
};
const isas = flagsOf[process.arch] ?? { scalar: [] };

/** Tells dispatch.cpp which instruction sets are built, best first. */
export const tablesFlag = (names) => `-DFOVEA_TABLES=${names.map((isa) => `TABLE(${isa})`).join(" ")}`;

/** Characters of a compiler's complaints that are shown. */
const MOST_ERRORS = 4000;

const hashOf = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(String(part.length)).update(part);
  return hash.digest("hex").slice(0, 24);
};

/**
 * What is compiled: source, flags, and a hash of all that the object depends on. `unknown` are the instruction
 * sets that the compiler is too old for.
 */
function plan(compiler, unknown) {
  const api = createRequire(import.meta.url)("node-api-headers").include_dir;
  const sets = Object.entries(isas).filter(([isa]) => !unknown.includes(isa));
  const own = {
    addon: [`-I${api}`],
    dispatch: [tablesFlag(sets.map(([isa]) => isa))],
  };
  const sources = ["addon", "cpu", "dispatch", "engine", "interpreter", "memory", "wait"].map((name) => ({
    name,
    source: join(kernels, `${name}.cpp`),
    flags: [...common, ...(own[name] ?? [])],
  }));
  for (const [isa, flags] of sets)
    sources.push({
      name: isa,
      source: join(kernels, "isa.cpp"),
      flags: [...common, ...isaFlags, ...flags, `-DFOVEA_ISA_${isa.toUpperCase()}`],
    });
  return sources.map((unit) => {
    const texts = includesOf(unit.source).map((file) => readFileSync(file, "utf8"));
    return { ...unit, hash: hashOf(compiler, process.platform, process.arch, ...unit.flags, ...texts) };
  });
}

const usual = ["c++", "g++", "clang++"];

function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : usual;
  return candidates.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);
}

/** The instruction sets whose flags the compiler refuses. */
export const unknownTo = (compiler) =>
  Object.keys(isas).filter((isa) => {
    const empty = ["-fsyntax-only", "-x", "c++", "/dev/null"];
    return spawnSync(compiler, [...isas[isa], ...empty], { stdio: "ignore" }).status !== 0;
  });

const run = (command, args) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "pipe"] });
    let errors = "";
    child.stderr.on("data", (data) => {
      errors += data;
    });
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${command} ${args.join(" ")}\n${errors.slice(0, MOST_ERRORS)}`)),
    );
  });

async function compileAll(compiler, units) {
  mkdirSync(objects, { recursive: true });
  const waiting = units.filter((unit) => !existsSync(unit.object));
  const total = waiting.length;
  const worker = async () => {
    for (let unit = waiting.shift(); unit; unit = waiting.shift()) {
      const temporary = `${unit.object}.${process.pid}`;
      try {
        await run(compiler, [...unit.flags, "-c", unit.source, "-o", temporary]);
        renameSync(temporary, unit.object);
      } finally {
        rmSync(temporary, { force: true });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(total, availableParallelism()) }, worker));
}

async function link(compiler, units) {
  const temporary = `${output}.${process.pid}`;
  const shared =
    process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-Wl,-s"];
  try {
    await run(compiler, ["-pthread", ...shared, ...units.map((unit) => unit.object), "-o", temporary]);
    // Renamed into place: a process that runs the old one keeps it.
    renameSync(temporary, output);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Builds what is stale. With `optional`, a failure is told and passed over. */
export async function buildNative({ optional }) {
  try {
    await buildStale(optional);
  } catch (error) {
    console.error(`fovea: the native device was not built: ${error.message}`);
    if (!optional) throw error;
    console.error("fovea: WebAssembly will be used instead; it is slower.");
  }
}

async function buildStale(optional) {
  if (process.platform === "win32") {
    console.log("fovea: on Windows there is no native device; WebAssembly will be used.");
    return;
  }
  // The stamp names the compiler that was used and what it could not do, so that an up-to-date build is seen
  // without asking for it.
  const stampPath = join(build, "fovea.node.json");
  const stamp = existsSync(stampPath) ? JSON.parse(readFileSync(stampPath, "utf8")) : {};
  const fresh = (units) => hashOf(...units.map((unit) => unit.hash));
  const wanted = process.env.CXX ?? stamp.compiler;
  if (wanted && wanted === stamp.compiler && stamp.hash === fresh(plan(wanted, stamp.unknown ?? []))) {
    if (existsSync(output) && !stamp.failed) return;
    // Whoever asks for it by name gets another attempt.
    if (stamp.failed && optional && (process.env.CXX || usual.includes(wanted)))
      throw new Error(`${wanted} failed on these sources before; node scripts/build-native.mjs shows how`);
  }

  const compiler = findCompiler();
  if (!compiler) {
    const named = process.env.CXX
      ? `CXX=${process.env.CXX} does not run`
      : `no C++ compiler (${usual.join(", ")})`;
    throw new Error(`${named}; install one, or name one with CXX`);
  }
  const unknown = unknownTo(compiler);
  if (unknown.length > 0) console.log(`fovea: ${compiler} is too old for ${unknown.join(", ")}; left out`);
  const units = plan(compiler, unknown).map((unit) => ({
    ...unit,
    object: join(objects, `${unit.name}-${unit.hash}.o`),
  }));
  console.log(
    `fovea: building ${relative(process.cwd(), output) || output} with ${compiler} (a minute or two)`,
  );
  const begin = Date.now();
  const record = (failed) =>
    writeFileSync(stampPath, `${JSON.stringify({ compiler, unknown, hash: fresh(units), failed })}\n`);
  try {
    await compileAll(compiler, units);
    await link(compiler, units);
  } catch (error) {
    // The old one is of other sources than the rest.
    rmSync(output, { force: true });
    record(true);
    throw error;
  }
  record(false);
  const used = new Set(units.map((unit) => unit.object));
  for (const name of readdirSync(objects))
    if (name.endsWith(".o") && !used.has(join(objects, name))) rmSync(join(objects, name), { force: true });
  console.log(`fovea: built in ${((Date.now() - begin) / 1000).toFixed(1)} s`);
}

if (isMain(import.meta.url))
  await buildNative({ optional: process.argv.includes("--optional") }).catch(() => {
    process.exitCode = 1;
  });
