/** The project's own files, and what its modules import. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Made by tools, or not ours. */
const skipped = new Set(["node_modules", "dist", "build", "coverage", ".git"]);

/** Paths of all files under a folder of the project, relative to the project, with forward slashes. */
export function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return filesUnder(path);
    return entry.isFile() ? [path] : [];
  });
}

export const readSource = (path: string): string => readFileSync(join(root, path), "utf8");

export interface Import {
  /** Path in the project for a relative import, else the name of the package. */
  readonly target: string;
  /** Whether it is gone after compilation. */
  readonly typeOnly: boolean;
}

const patterns: readonly RegExp[] = [
  /^[ \t]*(?:import|export)\s+(type\s)?[^;"'`]*?\bfrom\s*["']([^"']+)["']/gm,
  /^[ \t]*import\s+(type\s)?["']([^"']+)["']/gm,
  /\bimport\(\s*(type\s)?["']([^"']+)["']\s*\)/g,
  // Scripts of workers.
  /\bnew URL\(\s*(type\s)?["'](\.[^"']*\.[jt]sx?)["']/g,
];

/** The imports and re-exports of a module's text, static and dynamic. */
export function importsOf(path: string, text: string): Import[] {
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, type, name = ""]) => ({
      target: name.startsWith(".") ? posix.join(dirname(path), name) : name,
      typeOnly: type !== undefined,
    })),
  );
}
