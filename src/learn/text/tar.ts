/**
 * Reads the files of a tar archive as they arrive (POSIX ustar, with the long names of GNU and pax). Knows the
 * layout only; must not know how the archive was compressed or what its files mean.
 */
import { CheckpointError } from "../../base/errors.ts";

const BLOCK = 512;
/** A file is held whole; a larger one is no document. */
const LARGEST = 1 << 30;
const text = new TextDecoder();

export interface TarEntry {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The regular files, in the order of the archive. @param name for errors */
export async function* readTar(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<TarEntry, void, undefined> {
  const source = chunks[Symbol.asyncIterator]();
  try {
    yield* entries(name, reader(name, source));
  } finally {
    // Who stops early gives the file, and what unpacks it, free.
    await source.return?.();
  }
}

type Take = (count: number, mayEnd?: boolean) => Promise<Uint8Array | undefined>;

async function* entries(name: string, take: Take): AsyncGenerator<TarEntry, void, undefined> {
  let longName: string | undefined;
  for (;;) {
    const header = await take(BLOCK, true);
    if (header === undefined || header.every((byte) => byte === 0)) return;
    if (!sumIsRight(header)) throw new CheckpointError(name, "is no tar archive, or is damaged");
    const size = octal(header.subarray(124, 136));
    if (!(size <= LARGEST))
      throw new CheckpointError(name, `a file of ${size} bytes is too large for a document`);
    const bytes = (await take(Math.ceil(size / BLOCK) * BLOCK))!.subarray(0, size);
    const type = String.fromCharCode(header[156] || 0x30);
    if (type === "L") longName = cString(bytes);
    else if (type === "x") longName = paxPath(bytes) ?? longName;
    else {
      const prefix = cString(header.subarray(257, 262)) === "ustar" ? cString(header.subarray(345, 500)) : "";
      const path = longName ?? (prefix && `${prefix}/`) + cString(header.subarray(0, 100));
      longName = undefined;
      if (type === "0") yield { path, bytes };
    }
  }
}

/** Gives exactly so many bytes at a time; undefined at the end, where that is allowed. */
function reader(name: string, source: AsyncIterator<Uint8Array>): Take {
  let rest = new Uint8Array(0);
  return async (count, mayEnd = false) => {
    const out = new Uint8Array(count);
    for (let filled = 0; filled < count; ) {
      if (rest.length === 0) {
        const next = await source.next();
        if (next.done && filled === 0 && mayEnd) return undefined;
        if (next.done) throw new CheckpointError(name, "ends in the middle of a file");
        rest = new Uint8Array(next.value);
        continue;
      }
      const part = rest.subarray(0, count - filled);
      out.set(part, filled);
      filled += part.length;
      rest = rest.subarray(part.length);
    }
    return out;
  };
}

const cString = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return text.decode(end < 0 ? bytes : bytes.subarray(0, end));
};

const octal = (bytes: Uint8Array): number => {
  const digits = cString(bytes).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
};

/** The header's checksum counts its own eight bytes as spaces. */
function sumIsRight(header: Uint8Array): boolean {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : (header[i] as number);
  return sum === octal(header.subarray(148, 156));
}

/** Records "LENGTH path=VALUE\n". */
function paxPath(bytes: Uint8Array): string | undefined {
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(text.decode(bytes.subarray(at, space)));
    if (space < 0 || !(length > 0)) return undefined;
    const record = text.decode(bytes.subarray(space + 1, at + length - 1));
    if (record.startsWith("path=")) return record.slice(5);
    at += length;
  }
  return undefined;
}
