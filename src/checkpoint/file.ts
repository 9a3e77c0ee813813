/**
 * A file as a source of bytes: memory-mapped range by range where the native add-on is present, read otherwise.
 * Knows files; must not know what they hold.
 */
import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { type Addon, addon } from "../base/addon.ts";
import { CheckpointError } from "../base/errors.ts";
import { type ByteSource, checkRange } from "./source.ts";

/** Below this a copy costs less than a map and its page faults. */
const smallestMap = 65_536;

const problems: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "may not be read by this user",
  EPERM: "may not be read by this user",
  ELOOP: "its symbolic links lead in a circle",
  ENOTDIR: "a part of the path is a file, not a folder",
  ENOSPC: "the disk is full",
  EROFS: "the disk may only be read",
  EISDIR: "is a folder",
  EMFILE: "too many files are open",
};

/** What a failed file operation means to the user. */
export function fileProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code !== undefined && problems[code]) || String(message ?? error);
}

const writeProblems: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist",
  EACCES: "may not be written by this user",
  EPERM: "may not be written by this user",
};

/** What it means to the user that a file could not be made or written. */
export const writeProblem = (error: unknown): string =>
  writeProblems[(error as NodeJS.ErrnoException).code ?? ""] ?? fileProblem(error);

export class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #path: string;
  readonly #addon: Addon | undefined;
  readonly #maps = new WeakSet<ArrayBufferLike>();
  #file: number | undefined;

  /** Opens a regular file; anything else is refused. */
  constructor(path: string) {
    this.name = path;
    try {
      this.#path = realpathSync(path);
      // Before opening: opening a pipe would wait for its writer.
      if (!statSync(this.#path).isFile()) throw new CheckpointError(path, "is not a file");
      this.#file = openSync(this.#path, "r");
      this.size = fstatSync(this.#file).size;
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      throw new CheckpointError(path, fileProblem(error), { cause: error });
    }
    this.#addon = addon();
  }

  read(offset: number, length: number): Uint8Array {
    if (this.#file === undefined) throw new CheckpointError(this.name, "was read after it was closed");
    checkRange(this, offset, length);
    return (length >= smallestMap && this.#map(offset, length)) || this.#copy(this.#file, offset, length);
  }

  /** A view of a memory map, or undefined where the system gives none. */
  #map(offset: number, length: number): Uint8Array | undefined {
    if (this.#addon === undefined) return undefined;
    try {
      const buffer = this.#addon.mapFile(this.#path, offset, length);
      this.#maps.add(buffer);
      return new Uint8Array(buffer, 0, length);
    } catch {
      return undefined;
    }
  }

  #copy(file: number, offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      let count: number;
      try {
        count = readSync(file, bytes, done, Math.min(length - done, 0x40000000), offset + done);
      } catch (error) {
        throw new CheckpointError(this.name, fileProblem(error), { offset: offset + done, cause: error });
      }
      if (count === 0)
        throw new CheckpointError(this.name, "the file became shorter while it was open", {
          offset: offset + done,
        });
      done += count;
    }
    return bytes;
  }

  release(view: Uint8Array): void {
    const { buffer, byteOffset, byteLength } = view;
    if (buffer instanceof ArrayBuffer && this.#maps.has(buffer))
      this.#addon?.dropPages(buffer, byteOffset, byteLength);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
