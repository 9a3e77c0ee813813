/**
 * Finds and loads the native add-on, once. Knows its file and the shape of its exports; what the functions are
 * for is known by their callers. Without the add-on everything still works, slower.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export interface Addon {
  /** Maps `length` bytes of a file from `offset` (of any alignment), read-only; unmapped when collected. */
  mapFile(path: string, offset: number, length: number): ArrayBuffer;
  /** Tells the system that the pages of this part of a mapped buffer are not needed for now. */
  dropPages(buffer: ArrayBuffer, byteOffset: number, length: number): void;
}

let loaded: { addon: Addon | undefined } | undefined;

/** The add-on, or undefined when it was not built, was built for another system, or FOVEA_NO_ADDON=1 is set. */
export function addon(): Addon | undefined {
  if (process.env.FOVEA_NO_ADDON === "1") return undefined;
  loaded ??= { addon: load() };
  return loaded.addon;
}

function load(): Addon | undefined {
  // Two folders up from src/base and from dist/base alike.
  const path = fileURLToPath(new URL("../../build/fovea.node", import.meta.url));
  if (!existsSync(path)) return undefined;
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    process.emitWarning(
      `the native add-on cannot be loaded, so Fovea runs slower: ${(error as Error).message}; build it anew with "npm run build"`,
    );
    return undefined;
  }
}
