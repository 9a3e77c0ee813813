/**
 * Text in checkpoint files: UTF-8 that is refused when it is broken, and JSON of bounded depth.
 */
import { CheckpointError } from "../base/errors.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes UTF-8; `where` names the bytes in the error. */
export function decodeText(
  file: string,
  bytes: Uint8Array,
  where: { field?: string; offset?: number } = {},
): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new CheckpointError(file, "is not valid UTF-8", where);
  }
}

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** Deeper than any published file of these kinds; keeps what walks the value from exhausting the stack. */
const deepest = 64;
/** JSON takes up to some twenty times its length in memory; the largest published tokenizer files stay below this. */
const largest = 64 * 1024 * 1024;

/** Parses a JSON file whose top is an object. */
export function parseJsonObject(file: string, bytes: Uint8Array): JsonObject {
  if (bytes.length > largest)
    throw new CheckpointError(file, `has ${bytes.length} bytes; a JSON file here has at most ${largest}`);
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const text = decodeText(file, start > 0 ? bytes.subarray(start) : bytes);
  checkDepth(file, bytes);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new CheckpointError(file, `is not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new CheckpointError(file, "must hold a JSON object");
  return value;
}

function checkDepth(file: string, bytes: Uint8Array): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i];
    if (inString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > deepest)
        throw new CheckpointError(file, `is nested more than ${deepest} levels deep`, { offset: i });
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
}
