/**
 * Reads GGUF, versions 2 and 3, little endian; a file, or all parts of a split one. Lazy: opening walks the
 * header once and decodes no arrays. Knows the layout; must not know what keys or tensors are for, save
 * `general.alignment` and `split.*`, which belong to the layout.
 * Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { CheckpointError } from "../base/errors.ts";
import { type Checkpoint, checkOverlaps, elementCount, type StoredTensor, storedIn } from "./checkpoint.ts";
import { GgufCursor } from "./gguf-cursor.ts";
import { ggmlTypes } from "./gguf-tensors.ts";
import type { GgufScalarType, GgufValue } from "./gguf-values.ts";
import { joinCheckpoints } from "./join.ts";
import { type ByteSource, owning } from "./source.ts";

export interface GgufCheckpoint extends Checkpoint {
  readonly kind: "gguf";
  readonly metadataTypes: ReadonlyMap<string, GgufScalarType>;
}

/** Names longer than this are refused; the format's own readers allow 64 bytes. */
const longestName = 1024;
const longestKey = 65_535;

/** Opens one GGUF file. The checkpoint owns the source and closes it. */
export function openGguf(source: ByteSource): GgufCheckpoint {
  return owning(source, () => {
    const { metadata, metadataTypes, tensors } = readHeader(source);
    return { kind: "gguf", ...storedIn(source, tensors), metadata, metadataTypes };
  });
}

interface Header {
  metadata: Map<string, GgufValue>;
  metadataTypes: Map<string, GgufScalarType>;
  tensors: Map<string, StoredTensor>;
}

function readHeader(source: ByteSource): Header {
  const cursor = new GgufCursor(source);
  readMagic(cursor);
  const tensorCount = cursor.length("tensor count", 24);
  const valueCount = cursor.length("metadata count", 13);

  const metadata = new Map<string, GgufValue>();
  const metadataTypes = new Map<string, GgufScalarType>();
  for (let i = 0; i < valueCount; i++) {
    const at = cursor.at;
    const key = cursor.string("a metadata key", longestKey);
    if (metadata.has(key)) cursor.fail("two metadata values have this key", key, at);
    const { type, value } = cursor.value(key);
    metadata.set(key, value);
    metadataTypes.set(key, type);
  }

  const alignment = alignmentOf(source.name, metadata);
  const described = new Map<string, StoredTensor & { at: number }>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = readTensor(cursor, alignment);
    if (described.has(tensor.name)) cursor.fail("two tensors have this name", tensor.name, tensor.at);
    described.set(tensor.name, tensor);
  }

  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  const tensors = new Map<string, StoredTensor>();
  for (const { at, ...tensor } of described.values()) {
    const offset = dataStart + tensor.offset;
    if (!(offset + tensor.length <= source.size))
      cursor.fail(
        `its ${tensor.length} bytes at byte ${offset} lie beyond the end of the file at byte ${source.size}; the file is cut off or broken`,
        tensor.name,
        at,
      );
    tensors.set(tensor.name, { ...tensor, offset });
  }
  checkOverlaps(source.name, tensors.values());
  return { metadata, metadataTypes, tensors };
}

function readMagic(cursor: GgufCursor): void {
  if (cursor.u32() !== 0x46554747)
    cursor.fail('does not begin with "GGUF"; this is no GGUF file', undefined, 0);
  const version = cursor.u32();
  if (version === 1) cursor.fail("GGUF version 1 is not read; convert the file to version 3", "version", 4);
  if ((version & 0xffff) === 0 && version !== 0)
    cursor.fail("a big-endian GGUF file is not read; convert it to little endian", "version", 4);
  if (version !== 2 && version !== 3)
    cursor.fail(`GGUF version ${version} is not known; versions 2 and 3 are read`, "version", 4);
}

function alignmentOf(file: string, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get("general.alignment") ?? 32;
  if (typeof value !== "number" || !(value >= 1) || value > 2 ** 20 || !Number.isInteger(Math.log2(value)))
    throw new CheckpointError(file, `must be a power of two up to 2^20, not ${String(value)}`, {
      field: "general.alignment",
    });
  return value;
}

/** One tensor's description; its offset is still relative to the data. */
function readTensor(cursor: GgufCursor, alignment: number): StoredTensor & { at: number } {
  const at = cursor.at;
  const name = cursor.string("a tensor name", longestName);
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > 4)
    cursor.fail(`has ${dimensions} dimensions; 1 to 4 are possible`, name, at);
  const shape: number[] = [];
  for (let d = 0; d < dimensions; d++) shape.unshift(cursor.u64(name));
  const id = cursor.u32();
  const relative = cursor.u64(name);

  if (shape.some((d) => d <= 0))
    cursor.fail(`the shape [${shape}] has a dimension that is not positive`, name, at);
  const type = ggmlTypes.get(id);
  if (type === undefined) return cursor.fail(`has the unknown type number ${id}`, name, at);
  const row = shape.at(-1) as number;
  if (row % type.block !== 0)
    cursor.fail(
      `rows of ${row} elements are no whole number of ${type.name} blocks of ${type.block}`,
      name,
      at,
    );
  const elements = elementCount(shape);
  const length = (elements / type.block) * type.blockBytes;
  if (!(elements <= Number.MAX_SAFE_INTEGER && length <= Number.MAX_SAFE_INTEGER))
    cursor.fail(`the shape [${shape}] has more than 2^53 elements or bytes`, name, at);
  if (relative % alignment !== 0)
    cursor.fail(`its offset ${relative} is no multiple of the alignment ${alignment}`, name, at);
  return { name, shape, format: type.name, offset: relative, length, at };
}

/** Opens all parts of a split GGUF, in order. Metadata is that of the first. */
export function openSplitGguf(sources: readonly [ByteSource, ...ByteSource[]]): Checkpoint {
  const parts: Checkpoint[] = [];
  try {
    const owners = new Map<string, Checkpoint>();
    for (const [number, source] of sources.entries()) {
      const part = openGguf(source);
      parts.push(part);
      checkPart(part, number, sources.length);
      for (const name of part.tensors.keys()) {
        const other = owners.get(name);
        if (other !== undefined)
          throw new CheckpointError(part.path, `is also in ${other.path}`, { field: name });
        owners.set(name, part);
      }
    }
    const [first, ...rest] = parts as [Checkpoint, ...Checkpoint[]];
    const expected = first.metadata.get("split.tensors.count");
    if (expected !== undefined && expected !== owners.size)
      throw new CheckpointError(
        first.path,
        `the parts hold ${owners.size} tensors where ${String(expected)} were announced`,
        { field: "split.tensors.count" },
      );
    return joinCheckpoints(first.path, [first, ...rest], owners);
  } catch (error) {
    for (const source of sources) source.close();
    throw error;
  }
}

function checkPart(part: Checkpoint, number: number, count: number): void {
  const expected = { "split.no": number, "split.count": count };
  for (const [field, value] of Object.entries(expected)) {
    const found = part.metadata.get(field);
    if (found !== value)
      throw new CheckpointError(
        part.path,
        `must be ${value} in part ${number + 1} of ${count}, not ${String(found)}`,
        { field },
      );
  }
}
