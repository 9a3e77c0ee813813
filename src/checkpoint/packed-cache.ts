/**
 * A file beside a checkpoint that keeps its weights as a device has packed them. Knows files, names and sums;
 * must not know what the packed bytes mean, nor how sums are computed.
 *
 * The file: a text of two lines that says all that the bytes depend on, the sums of all parts (8 bytes each,
 * from the next multiple of 64), and the parts one after another (from the next multiple of 4096). Whoever
 * opens it knows the text it must begin with, to the last byte, so that nothing of it is ever parsed: it is
 * the file that is wanted, or it is not.
 */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open, rename, rm, statfs } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { addon } from "../base/addon.ts";
import { FoveaError } from "../base/errors.ts";
import { FileSource, fileProblem } from "./file.ts";

/** One matrix, or stack of matrices, in the order in which the model asks for them. */
export interface PackedPart {
  /** All that its bytes depend on, beside the checkpoint and the layout. */
  readonly what: string;
  /** A multiple of 64. */
  readonly bytes: number;
}

/** Parts that were kept. Their bytes must not be used before their sums are seen to be right. */
export interface KeptParts {
  /** Of all parts, in order; they are not to be trusted either. */
  readonly sums: Uint8Array;
  bytes(part: number): Uint8Array;
  /** The part's bytes are not needed any more; memory that they take may be given back. */
  release(part: number): void;
  /** Says that the file is not used, and why. */
  refuse(problem: string): void;
  close(): void;
}

/** A file in the making: it appears when it is finished, or not at all. */
export interface PackedWriter {
  write(part: number, offset: number, bytes: Uint8Array): Promise<void>;
  finish(sums: Uint8Array): Promise<void>;
  /** Takes away what was written; `problem` is told. */
  discard(problem?: unknown): Promise<void>;
}

/** Where packed weights are kept from one run to the next. */
export interface PackedStore {
  /** What was kept of just these parts in this layout; undefined when there is nothing, or nothing that fits. */
  find(layout: string, parts: readonly PackedPart[], sumsBytes: number): KeptParts | undefined;
  /** Undefined when nothing can or should be kept. */
  create(layout: string, parts: readonly PackedPart[], sumsBytes: number): Promise<PackedWriter | undefined>;
}

export interface PackedCacheOptions {
  /** Default: the folder of the checkpoint. */
  readonly folder?: string;
  /** Less than this, in bytes, is sooner packed than kept. */
  readonly least?: number;
  /** Told that a file is not used, or cannot be written. Default: a warning of the process. */
  readonly warn?: (message: string) => void;
}

/** To be changed with everything that changes what a file means. */
const VERSION = 1;
const LEAST_BYTES = 32 << 20;
const SAMPLES = 64;
const SAMPLE_BYTES = 4096;
const PAGE = 4096;
/** Nobody writes to a temporary file that was left alone for so long. */
const STALE_MS = 600_000;

const aligned = (at: number, to: number): number => Math.ceil(at / to) * to;

interface Places {
  readonly text: Uint8Array;
  readonly sumsAt: number;
  readonly partsAt: readonly number[];
  readonly size: number;
}

export class PackedCache implements PackedStore {
  readonly #weights: readonly string[];
  readonly #stem: string;
  readonly #least: number;
  readonly #warn: (message: string) => void;
  #identity: unknown;

  /** @param weights the files of the checkpoint that hold weights; the first of `names` names the cache */
  constructor(weights: readonly string[], name: string, options: PackedCacheOptions = {}) {
    const { folder, least = LEAST_BYTES, warn = (message) => process.emitWarning(message) } = options;
    this.#weights = weights;
    // In a folder for many checkpoints, whose files may have the same name, the path tells them apart.
    const path = createHash("sha256").update(resolve(name)).digest("hex").slice(0, 16);
    this.#stem =
      folder === undefined ? resolve(name) : join(resolve(folder), `${basename(resolve(name))}.${path}`);
    this.#least = least;
    this.#warn = warn;
  }

  /** Each layout has a file of its own, so that two devices do not take turns in replacing one. */
  pathFor(layout: string): string {
    return `${this.#stem}.${layout}.fovea-packed`;
  }

  find(layout: string, parts: readonly PackedPart[], sumsBytes: number): KeptParts | undefined {
    const path = this.pathFor(layout);
    if (this.#isSmall(parts)) return undefined;
    const refuse = (problem: string): void => this.#warn(`${path}: ${problem}; the weights are packed anew`);
    let source: FileSource | undefined;
    try {
      if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
      const { text, sumsAt, partsAt, size } = this.#places(layout, parts, sumsBytes);
      source = new FileSource(path);
      const kept = source;
      const head = kept.read(0, Math.min(text.length, kept.size));
      if (Buffer.compare(head, text) !== 0)
        refuse("was made from another checkpoint, or by another version of Fovea");
      else if (kept.size !== size) refuse(`has ${kept.size} bytes where ${size} are needed`);
      else {
        // One map for all: each costs, as does every buffer that the collector knows. A copy is made part by part.
        const first = partsAt[0] ?? size;
        const map = addon() && kept.read(first, size - first);
        return {
          sums: kept.read(sumsAt, sumsBytes),
          bytes(part) {
            const [at, { bytes }] = [partsAt[part]!, parts[part]!];
            return map ? map.subarray(at - first, at - first + bytes) : kept.read(at, bytes);
          },
          release(part) {
            const [at, { bytes }] = [partsAt[part]!, parts[part]!];
            if (map) kept.release(map.subarray(at - first, at - first + bytes));
          },
          refuse,
          close: () => kept.close(),
        };
      }
    } catch (error) {
      // Where there is no folder there is no file in it.
      if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
      refuse(error instanceof FoveaError ? error.message : fileProblem(error));
    }
    source?.close();
    return undefined;
  }

  async create(
    layout: string,
    parts: readonly PackedPart[],
    sumsBytes: number,
  ): Promise<PackedWriter | undefined> {
    if (this.#isSmall(parts)) return undefined;
    const path = this.pathFor(layout);
    const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    const tell = (error: unknown): void =>
      this.#warn(`${path}: the packed weights are not kept: ${fileProblem(error)}`);
    const remove = (): void => rmSync(temporary, { force: true });
    let file: FileHandle;
    let places: Places;
    try {
      places = this.#places(layout, parts, sumsBytes);
      mkdirSync(dirname(path), { recursive: true });
      sweep(path);
      const { bavail, bsize } = await statfs(dirname(path));
      // What is left should do for others.
      if (bavail * bsize < 2 * places.size)
        throw new Error(`they take ${places.size} bytes and the disk has only ${bavail * bsize} left`);
      file = await open(temporary, "wx");
    } catch (error) {
      tell(error);
      return undefined;
    }
    const { text, sumsAt, partsAt, size } = places;
    process.once("exit", remove);
    const discard = async (problem?: unknown): Promise<void> => {
      process.off("exit", remove);
      if (problem !== undefined) tell(problem);
      await file.close().catch(() => {});
      await rm(temporary, { force: true }).catch(() => {});
    };
    return {
      write: (part, offset, bytes) => writeAll(file, bytes, partsAt[part]! + offset),
      async finish(sums) {
        await writeAll(file, text, 0);
        await writeAll(file, sums, sumsAt);
        await file.truncate(size);
        // The disk is not waited for: after a failure of the power the sums tell what did not arrive.
        await file.close();
        await rename(temporary, path);
        process.off("exit", remove);
      },
      discard,
    };
  }

  #isSmall(parts: readonly PackedPart[]): boolean {
    return parts.reduce((sum, { bytes }) => sum + bytes, 0) < this.#least;
  }

  #places(layout: string, parts: readonly PackedPart[], sumsBytes: number): Places {
    this.#identity ??= this.#weights.map(identify);
    const content = {
      layout,
      checkpoint: this.#identity,
      parts: parts.map(({ what, bytes }) => [what, bytes]),
    };
    const text = Buffer.from(`fovea packed weights ${VERSION}\n${JSON.stringify(content)}\n`);
    const sumsAt = aligned(text.length, 64);
    let size = aligned(sumsAt + sumsBytes, PAGE);
    const partsAt = parts.map(({ bytes }) => {
      const at = size;
      size += bytes;
      return at;
    });
    return { text, sumsAt, partsAt, size };
  }
}

/**
 * What tells a file of weights from another one, without reading gigabytes: its size, when it was changed, and
 * a hash of blocks from all over it.
 */
function identify(path: string): unknown {
  const file = openSync(path, "r");
  try {
    const { size, mtimeNs } = statSync(path, { bigint: true });
    const hash = createHash("sha256");
    const block = new Uint8Array(SAMPLE_BYTES);
    const last = Math.max(0, Number(size) - SAMPLE_BYTES);
    for (let i = 0; i < SAMPLES; i++) {
      const count = readSync(file, block, 0, SAMPLE_BYTES, Math.floor((last * i) / (SAMPLES - 1)));
      hash.update(block.subarray(0, count));
    }
    return { bytes: String(size), changed: String(mtimeNs), sample: hash.digest("hex").slice(0, 32) };
  } finally {
    closeSync(file);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}

/** Removes what writers left behind that were cut off. */
function sweep(path: string): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(`${basename(path)}.`) || !name.endsWith(".tmp")) continue;
    const file = statSync(join(folder, name), { throwIfNoEntry: false });
    if (file && Date.now() - file.mtimeMs > STALE_MS) rmSync(join(folder, name), { force: true });
  }
}
