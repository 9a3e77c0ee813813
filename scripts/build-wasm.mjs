/**
 * Builds the WebAssembly binaries in src/device/wasm/ from the sources in kernels/, one for each instruction
 * set. They are part of the repository, each with the hash of what it was made from beside it; `--check` only
 * says whether they still belong to their sources.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { includesOf } from "./includes.mjs";
import { stampOf } from "./stamp.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const variants = [
  { output: "src/device/wasm/kernels.wasm", flags: ["-DFOVEA_ISA_WASM"] },
  { output: "src/device/wasm/kernels-relaxed.wasm", flags: ["-mrelaxed-simd", "-DFOVEA_ISA_WASM_RELAXED"] },
];
const sources = ["interpreter.cpp", "isa.cpp", "wait.cpp", "wasm.cpp"].map((name) => `kernels/${name}`);
const compile = [
  "--target=wasm32",
  "-std=c++17",
  "-O3",
  "-msimd128",
  "-mbulk-memory",
  "-matomics",
  "-mnontrapping-fptoint",
  "-msign-ext",
  "-nostdlib",
  "-fno-exceptions",
  "-fno-rtti",
  "-fno-math-errno",
  "-ffp-contract=off",
  "-fvisibility=hidden",
];
const link = [
  "--no-entry",
  "--import-memory",
  "--shared-memory",
  `--initial-memory=${2 ** 22}`,
  `--max-memory=${2 ** 32}`,
  "-zstack-size=1048576",
  "--export=__heap_base",
  "--export=__stack_pointer",
  "--strip-all",
  "--gc-sections",
];

/** What a binary was, or would be, made from. */
function stamp({ flags }) {
  const files = new Set(sources.flatMap((source) => includesOf(join(root, source))));
  const inside = [...files].map((file) => file.slice(root.length)).sort();
  return stampOf(root, inside, [...compile, ...flags, ...link]);
}

function find(tool, names, remedy) {
  const found = names.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);
  if (found) return found;
  throw new Error(`${tool} is missing (tried ${names.join(", ")}); ${remedy}`);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} failed${error ? `: ${error.message}` : ""}`);
}

function build(variant) {
  const remedy = "install LLVM 19, for example apt install clang-19 lld-19";
  const clang = find("clang", ["clang++-19", "clang++"], remedy);
  const linker = find("wasm-ld", ["wasm-ld-19", "wasm-ld"], remedy);
  const output = join(root, variant.output);
  const folder = mkdtempSync(join(tmpdir(), "fovea-wasm-"));
  try {
    const objects = sources.map((source) => {
      const object = join(folder, `${source.replaceAll("/", "-")}.o`);
      run(clang, [...compile, ...variant.flags, "-c", source, "-o", object]);
      return object;
    });
    run(linker, [...link, ...objects, "-o", output]);
  } finally {
    rmSync(folder, { recursive: true });
  }
  writeFileSync(`${output}.json`, `${JSON.stringify({ sources: stamp(variant) }, undefined, 2)}\n`);
  console.log(`fovea: built ${output} (${readFileSync(output).length} bytes)`);
}

function check(variant) {
  const { sources: made } = JSON.parse(readFileSync(join(root, `${variant.output}.json`), "utf8"));
  if (made !== stamp(variant))
    throw new Error(`${variant.output} was made from other sources; run npm run build:wasm`);
}

try {
  variants.forEach(process.argv.includes("--check") ? check : build);
} catch (error) {
  console.error(`fovea: ${error.message}`);
  process.exitCode = 1;
}
