/** Where the fixtures that are not part of the project lie, and whether they are present. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = process.env.FOVEA_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));

export const haveShared = existsSync(resolve(root, "golden"));

/** Absolute path of a fixture under the shared folder. */
export const shared = (path: string): string => resolve(root, path);

if (!haveShared)
  console.warn(`fixtures absent at ${root}: the tests that need them are skipped (set FOVEA_SHARED)`);
