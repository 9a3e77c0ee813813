/** Builds dist/: the library and command line with tsc, the page with Vite. `--if-stale`: only when needed. */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stampOf } from "./stamp.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const stampFile = join(dist, ".stamp");
const stamp = stampOf(root, [
  "src",
  "tsconfig.json",
  "tsconfig.build.json",
  "package.json",
  "scripts/build.mjs",
]);
const fresh = existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp;

function run(tool, ...args) {
  const bin = join(root, "node_modules", tool);
  execFileSync(process.execPath, [bin, ...args], { cwd: root, stdio: "inherit" });
}

if (fresh && process.argv.includes("--if-stale")) process.exit(0);
if (!existsSync(join(root, "node_modules/typescript"))) {
  // An installation without development dependencies uses what is there.
  if (existsSync(dist)) process.exit(0);
  console.error("fovea: dist/ is missing and TypeScript is not installed; run npm ci without --omit=dev");
  process.exit(1);
}

console.log("fovea: building the library");
rmSync(dist, { recursive: true, force: true });
run("typescript/bin/tsc", "-p", "tsconfig.build.json");
for (const file of ["device/wasm/kernels.wasm", "device/wasm/kernels.wasm.json"]) {
  const source = join(root, "src", file);
  if (!existsSync(source)) continue;
  mkdirSync(dirname(join(dist, file)), { recursive: true });
  cpSync(source, join(dist, file));
}
chmodSync(join(dist, "cli/main.js"), 0o755);
if (existsSync(join(root, "src/web/vite.config.ts"))) {
  console.log("fovea: building the page");
  run("vite/bin/vite.js", "build", "--config", "src/web/vite.config.ts", "--logLevel", "warn");
}
writeFileSync(stampFile, stamp);
