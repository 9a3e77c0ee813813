/**
 * Builds src/device/wasm/kernels.wasm from the sources in kernels/. The result is part of the repository, with
 * the hash of what it was made from beside it; `--check` only says whether it still belongs to its sources.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { includesOf } from "./includes.mjs";
import { stampOf } from "./stamp.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const output = join(root, "src/device/wasm/kernels.wasm");
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
  "-DFOVEA_ISA_WASM",
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

/** What the binary was, or would be, made from. */
function stamp() {
  const files = new Set(sources.flatMap((source) => includesOf(join(root, source))));
  const inside = [...files].map((file) => file.slice(root.length)).sort();
  return stampOf(root, inside, [...compile, ...link]);
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

function build() {
  const remedy = "install LLVM 19, for example apt install clang-19 lld-19";
  const clang = find("clang", ["clang++-19", "clang++"], remedy);
  const linker = find("wasm-ld", ["wasm-ld-19", "wasm-ld"], remedy);
  const folder = mkdtempSync(join(tmpdir(), "fovea-wasm-"));
  try {
    const objects = sources.map((source) => {
      const object = join(folder, `${source.replaceAll("/", "-")}.o`);
      run(clang, [...compile, "-c", source, "-o", object]);
      return object;
    });
    run(linker, [...link, ...objects, "-o", output]);
  } finally {
    rmSync(folder, { recursive: true });
  }
  writeFileSync(`${output}.json`, `${JSON.stringify({ sources: stamp() }, undefined, 2)}\n`);
  console.log(`fovea: built ${output} (${readFileSync(output).length} bytes)`);
}

try {
  if (process.argv.includes("--check")) {
    const { sources: made } = JSON.parse(readFileSync(`${output}.json`, "utf8"));
    if (made !== stamp()) throw new Error("it was made from other sources; run npm run build:wasm");
  } else build();
} catch (error) {
  console.error(`fovea: kernels.wasm: ${error.message}`);
  process.exitCode = 1;
}
