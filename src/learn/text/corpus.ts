/**
 * Documents from where text lies: a folder of text and markdown, a tar archive (plain, gzip or xz), or one file.
 * One document is held at a time. Knows files and archives; must not know what becomes of the text.
 */
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { CheckpointError } from "../../base/errors.ts";
import { readTar } from "./tar.ts";

export interface Document {
  /** Path within the folder or archive, with forward slashes: what splits and orders go by. */
  readonly name: string;
  readonly text: string;
}

const TEXT = /\.(txt|text|md|markdown)$/i;
const ARCHIVE = /\.(tar|tar\.gz|tgz|tar\.xz|txz)$/i;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** All documents, in an order that depends on their names alone (archives: the order of the archive). */
export async function* readCorpus(path: string): AsyncGenerator<Document, void, undefined> {
  if (!existsSync(path)) throw new CheckpointError(path, "no such file or folder of text");
  if (statSync(path).isDirectory()) {
    for (const file of textFiles(path))
      yield { name: relative(path, file).replaceAll("\\", "/"), text: decode(file, readFileSync(file)) };
    return;
  }
  if (!ARCHIVE.test(path)) return yield { name: path, text: decode(path, readFileSync(path)) };
  for await (const entry of readTar(path, await unpacked(path)))
    if (TEXT.test(entry.path))
      yield { name: entry.path.replace(/^\.\//, ""), text: decode(`${path}: ${entry.path}`, entry.bytes) };
}

/** Text and markdown files under a folder, sorted by code unit; what begins with a dot is left out. */
function textFiles(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !name.startsWith("."));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return textFiles(path);
    return entry.isFile() && TEXT.test(entry.name) ? [path] : [];
  });
}

async function unpacked(path: string): Promise<AsyncIterable<Uint8Array>> {
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  if (/gz$/i.test(path)) return file.pipe(createGunzip());
  if (!/xz$/i.test(path)) return file;
  // WebAssembly: Node has no xz of its own, and a system's may be missing.
  const { default: xz } = await import("xz-decompress");
  const source = Readable.toWeb(file) as ReadableStream<Uint8Array>;
  return new xz.XzReadableStream(source) as unknown as AsyncIterable<Uint8Array>;
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new CheckpointError(name, "is not UTF-8 text", { cause });
  }
}
