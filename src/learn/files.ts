/** Small files that appear whole or not at all. Knows files; must not know what they say. */
import { existsSync, readFileSync } from "node:fs";
import { CheckpointError } from "../base/errors.ts";
import { AtomicFile } from "../checkpoint/atomic-file.ts";

export function writeText(path: string, text: string): void {
  const file = new AtomicFile(path);
  file.write(new TextEncoder().encode(text));
  file.commit();
}

export const writeJson = (path: string, value: unknown): void =>
  writeText(path, `${JSON.stringify(value, null, 2)}\n`);

/** Undefined when there is no such file. The caller wrote it, and vouches for its form. */
export function readJson<T>(path: string): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (cause) {
    throw new CheckpointError(path, "is not JSON; remove it to begin anew", { cause });
  }
}
