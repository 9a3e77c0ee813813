/**
 * Brings one blob to disk: continues what an earlier attempt left, and verifies size and hash before the blob
 * gets its name. Knows bytes; must not know the hub.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { CheckpointError } from "../base/errors.ts";
import { fileProblem } from "./file.ts";

/** What can be read from any offset on. */
export interface BlobSource {
  slice(start: number): { stream(): ReadableStream<Uint8Array> };
  stream(): ReadableStream<Uint8Array>;
}

export interface WantedBlob {
  /** For error messages. */
  readonly name: string;
  readonly size: number;
  /** Hexadecimal: 64 digits are the sha256 of the content, 40 the hash of a git blob. */
  readonly oid: string;
  /** Where the blob goes; beside it, `.incomplete` holds what has arrived. */
  readonly path: string;
  open(): Promise<BlobSource>;
}

/** Downloads and verifies. `report` is told how many bytes are here, each time some arrive. */
export async function downloadBlob(
  blob: WantedBlob,
  report: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const incomplete = `${blob.path}.incomplete`;
  const left = await sizeOf(incomplete);
  const start = left <= blob.size ? left : 0;
  let right = await fetchFrom(start, blob, incomplete, report, signal);
  // What an earlier attempt left may have been spoilt: once more, all of it.
  if (!right && start > 0) right = await fetchFrom(0, blob, incomplete, report, signal);
  if (!right) {
    await rm(incomplete, { force: true });
    throw new CheckpointError(
      blob.name,
      `what arrived is not what was announced (${blob.size} bytes, hash ${blob.oid}); pull again`,
    );
  }
  await rename(incomplete, blob.path);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}

/** Keeps the first `start` bytes of the incomplete file, fetches the rest; tells whether size and hash are right. */
async function fetchFrom(
  start: number,
  blob: WantedBlob,
  incomplete: string,
  report: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const hash = hashOf(blob);
  if (start > 0) for await (const piece of createReadStream(incomplete)) hash.update(piece as Uint8Array);
  const file = await open(incomplete, start > 0 ? "r+" : "w");
  let at = start;
  try {
    report(at);
    if (at < blob.size)
      for await (const piece of pieces(blob, start, signal)) {
        if (piece.length > blob.size - at) return false;
        hash.update(piece);
        await append(file, piece, at, blob.name);
        at += piece.length;
        report(at);
      }
  } finally {
    await file.close();
  }
  if (at < blob.size) throw broken(blob, `after ${at} of ${blob.size} bytes`);
  return hash.digest("hex") === blob.oid;
}

/** The blob's content from `start` on. */
async function* pieces(
  blob: WantedBlob,
  start: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const source = await blob.open();
  try {
    for await (const piece of (start > 0 ? source.slice(start) : source).stream()) {
      signal?.throwIfAborted();
      yield piece;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw broken(blob, error instanceof Error ? error.message : String(error));
  }
}

const broken = (blob: WantedBlob, how: string): CheckpointError =>
  new CheckpointError(blob.name, `the connection broke (${how}); pull again to go on from there`);

async function append(file: FileHandle, piece: Uint8Array, at: number, name: string): Promise<void> {
  try {
    for (let done = 0; done < piece.length; )
      done += (await file.write(piece, done, piece.length - done, at + done)).bytesWritten;
  } catch (error) {
    throw new CheckpointError(name, `cannot be kept: ${fileProblem(error)}`, { cause: error });
  }
}

/** The hash that the blob's name is of. Git hashes a header before the content. */
function hashOf(blob: WantedBlob): Hash {
  if (blob.oid.length === 64) return createHash("sha256");
  return createHash("sha1").update(`blob ${blob.size}\0`);
}
