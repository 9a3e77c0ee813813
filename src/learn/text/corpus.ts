/**
 * Documents from where text lies: a folder of text and markdown, a tar archive (plain, gzip or xz), or one file.
 * One document is held at a time. Knows files and archives; must not know what becomes of the text.
 */
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join, relative } from "node:path";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { CheckpointError } from "../../base/errors.ts";
import { readTar } from "./tar.ts";

export interface Document {
  /** Path within the folder or archive, with forward slashes: what splits and orders go by. */
  readonly name: string;
  readonly text: string;
}

const CHUNK = 1 << 20;
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
  if (!/xz$/i.test(path)) {
    const file = createReadStream(path, { highWaterMark: CHUNK });
    // Each ends with the other: a file that cannot be read, an archive of which no more is wanted.
    return /gz$/i.test(path) ? pipeline(file, createGunzip(), () => {}) : file;
  }
  // WebAssembly: Node has no xz of its own, and a system's may be missing.
  const { default: xz } = await import("xz-decompress");
  return new xz.XzReadableStream(await streamOf(path)) as unknown as AsyncIterable<Uint8Array>;
}

/** A file as a stream that can be given up at any time, which Node's own conversion of its streams cannot. */
async function streamOf(path: string): Promise<ReadableStream<Uint8Array>> {
  const file = await open(path);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { bytesRead, buffer } = await file.read({ buffer: new Uint8Array(CHUNK) });
        if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
        await file.close();
        controller.close();
      },
      cancel: () => file.close(),
    },
    { highWaterMark: 0 },
  );
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new CheckpointError(name, "is not UTF-8 text", { cause });
  }
}
