/** Which files a C++ source is made of. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The file and all files of ours that it includes, in order of first mention. */
export function includesOf(path, seen = new Set()) {
  if (seen.has(path) || !existsSync(path)) return [];
  seen.add(path);
  const text = readFileSync(path, "utf8");
  const names = [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map(([, name]) => name);
  return [path, ...names.flatMap((name) => includesOf(join(dirname(path), name), seen))];
}
