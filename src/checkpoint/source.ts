/**
 * Where the bytes of a checkpoint come from, as far as its parsers know: something with a name and a size
 * that can be read at an offset. Must not know of files, so that parsing works in a page too.
 */
import { CheckpointError } from "../base/errors.ts";

export interface ByteSource {
  /** For error messages: a path or a URL. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`; a range that leaves the source is refused. */
  read(offset: number, length: number): Uint8Array;
  /** The bytes of this view are not needed for now: a memory map may drop their pages and fetch them again. */
  release(view: Uint8Array): void;
  close(): void;
}

/** Refuses a range that does not lie inside the source. */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0)
    throw new CheckpointError(source.name, `cannot read ${length} bytes from byte ${offset}`);
  if (length > source.size - offset)
    throw new CheckpointError(
      source.name,
      `${length} bytes were expected here, but the file ends at byte ${source.size}; it is cut off or broken`,
      { offset },
    );
}

/** Bytes that are already in memory. */
export class BytesSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.size = bytes.length;
    this.#bytes = bytes;
  }

  read(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    return this.#bytes.subarray(offset, offset + length);
  }

  release(): void {}

  close(): void {}
}

/** What `build` makes of the source, which is closed if that fails. */
export function owning<T>(source: ByteSource, build: () => T): T {
  try {
    return build();
  } catch (error) {
    source.close();
    throw error;
  }
}
