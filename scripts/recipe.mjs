/**
 * `npm run recipe NAME -- [FLAGS]`: compiles recipes/ where it has changed, and runs one. Recipes import "fovea" and
 * "fovea/learn" as any user's program does.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stampOf } from "./stamp.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "build/recipes");
const names = readdirSync(join(root, "recipes"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => name.slice(0, -3));

function compile() {
  const file = join(target, ".stamp");
  const stamp = stampOf(root, ["recipes", "tsconfig.json", "dist/.stamp"]);
  if (existsSync(file) && readFileSync(file, "utf8") === stamp) return;
  mkdirSync(target, { recursive: true });
  execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "recipes"], {
    cwd: root,
    stdio: "inherit",
  });
  writeFileSync(file, stamp);
}

const [name, ...args] = process.argv.slice(2);
if (!names.includes(name)) {
  console.error(`fovea: npm run recipe NAME -- [FLAGS]; there are ${names.join(", ")}`);
  process.exit(2);
}
try {
  compile();
  const { recipe } = await import(pathToFileURL(join(target, `${name}.js`)).href);
  const controller = new AbortController();
  // The first request saves and ends; the second ends at once.
  const stop = () => (controller.signal.aborted ? process.exit(130) : controller.abort());
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  await recipe(args, controller.signal);
} catch (error) {
  if (error instanceof Error && error.name === "HelpAsked") {
    console.log(error.message);
    process.exit(0);
  }
  const known =
    error instanceof Error &&
    ["FoveaError", "CheckpointError", "ParameterError", "DeviceError", "TypeError"].includes(error.name);
  console.error(known && !process.env.FOVEA_DEBUG ? `fovea: ${error.message}` : error);
  process.exitCode = 1;
}
