/**
 * A file that appears whole or not at all: written beside its final name, then renamed.
 * Knows files; must not know what is written.
 */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { CheckpointError } from "../base/errors.ts";
import { writeProblem } from "./file.ts";

export class AtomicFile {
  readonly #path: string;
  readonly #temporary: string;
  #file: number | undefined;
  /** Bytes written so far. */
  size = 0;

  constructor(path: string) {
    this.#path = path;
    this.#temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    this.#file = this.#try(() => openSync(this.#temporary, "wx"));
  }

  #try<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      this.discard();
      throw new CheckpointError(this.#path, `cannot be written: ${writeProblem(error)}`, { cause: error });
    }
  }

  /** Appends; a failure removes what was written. */
  write(bytes: Uint8Array): void {
    this.#try(() => {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.#file as number, bytes, done, Math.min(bytes.length - done, 0x40000000));
    });
    this.size += bytes.length;
  }

  /** Appends zeros until the size is a multiple of `alignment`. */
  pad(alignment: number): void {
    this.write(new Uint8Array((alignment - (this.size % alignment)) % alignment));
  }

  /** Makes the file appear under its name, in place of what was there. */
  commit(): void {
    this.#try(() => {
      fsyncSync(this.#file as number);
      closeSync(this.#file as number);
      this.#file = undefined;
      renameSync(this.#temporary, this.#path);
    });
  }

  /** Removes what was written. */
  discard(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    rmSync(this.#temporary, { force: true });
  }
}

/** Runs `fill` on a new file, which appears under `path` if that succeeds and leaves nothing if it fails. */
export async function writeAtomically(
  path: string,
  fill: (file: AtomicFile) => Promise<void>,
): Promise<void> {
  const file = new AtomicFile(path);
  try {
    await fill(file);
  } catch (error) {
    file.discard();
    throw error;
  }
  file.commit();
}
