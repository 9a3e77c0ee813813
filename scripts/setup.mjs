/**
 * Makes a fresh clone ready, and a changed one ready again: dependencies, add-on, library, page. Silent when
 * there is nothing to do. `--peers` also installs the engines that Fovea is compared with, under bench/.
 */
import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`fovea: Node ${process.versions.node} is too old; 20.19 or later is needed`);
  process.exit(1);
}

/** npm leaves this file when it has installed what the lock file says. */
function installed(folder) {
  const marker = join(folder, "node_modules/.package-lock.json");
  return (
    existsSync(marker) && statSync(marker).mtimeMs >= statSync(join(folder, "package-lock.json")).mtimeMs
  );
}

function install(folder, what) {
  console.log(`fovea: installing ${what} (npm ci)`);
  const windows = process.platform === "win32";
  execFileSync(windows ? "npm.cmd" : "npm", ["ci", "--no-audit", "--no-fund"], {
    cwd: folder,
    stdio: "inherit",
    shell: windows,
  });
}

try {
  // npm ci also runs the package's own install and prepare scripts, which build everything.
  if (!installed(root)) install(root, "dependencies");
  // In this process: to start others would take longer than to see that all is fresh.
  await (await import("./build-native.mjs")).buildNative({ optional: true });
  (await import("./build.mjs")).buildLibrary({ ifStale: true });
  const bench = join(root, "bench");
  if (process.argv.includes("--peers") && !installed(bench)) install(bench, "the engines to compare with");
} catch (error) {
  console.error(`fovea: set-up failed: ${error.message}`);
  process.exit(1);
}
