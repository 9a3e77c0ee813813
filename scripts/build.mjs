/** Builds dist/: the library and command line with tsc, the page with Vite. `--if-stale`: only when needed. */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isMain } from "./main.mjs";
import { stampOf } from "./stamp.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const inputs = ["src", "tsconfig.json", "tsconfig.build.json", "package.json", "scripts/build.mjs"];

function run(tool, ...args) {
  const bin = join(root, "node_modules", tool);
  execFileSync(process.execPath, [bin, ...args], { cwd: root, stdio: "inherit" });
}

/** Throws when TypeScript is needed and missing, or finds errors. */
export function buildLibrary({ ifStale }) {
  const stampFile = join(dist, ".stamp");
  const stamp = stampOf(root, inputs);
  if (ifStale && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  if (!existsSync(join(root, "node_modules/typescript"))) {
    // An installation without development dependencies uses what is there.
    if (existsSync(dist)) return;
    throw new Error("dist/ is missing and TypeScript is not installed; run npm ci without --omit=dev");
  }

  console.log("fovea: building the library");
  rmSync(dist, { recursive: true, force: true });
  run("typescript/bin/tsc", "-p", "tsconfig.build.json");
  for (const file of ["device/wasm/kernels.wasm", "device/wasm/kernels-relaxed.wasm"]) {
    const target = join(dist, file);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(root, "src", file), target);
  }
  chmodSync(join(dist, "cli/main.js"), 0o755);
  if (existsSync(join(root, "src/web/vite.config.ts"))) {
    console.log("fovea: building the page");
    run("vite/bin/vite.js", "build", "--config", "src/web/vite.config.ts", "--logLevel", "warn");
  }
  writeFileSync(stampFile, stamp);
}

if (isMain(import.meta.url))
  try {
    buildLibrary({ ifStale: process.argv.includes("--if-stale") });
  } catch (error) {
    console.error(`fovea: the library was not built: ${error.message}`);
    process.exitCode = 1;
  }
