/**
 * Reads safetensors: one file, or shards that an index names. Lazy: opening reads headers only.
 * Knows the layout of the files; must not know what the tensors are for.
 *
 * Holes between tensors are allowed (published files have them) and any alignment is (old files lack it);
 * overlaps and ranges that leave the file are refused.
 */
import { CheckpointError } from "../base/errors.ts";
import { type Checkpoint, checkOverlaps, elementCount, type StoredTensor, storedIn } from "./checkpoint.ts";
import { joinCheckpoints } from "./join.ts";
import { withRowScales } from "./row-scales.ts";
import { type HeaderEntry, parseHeader, safetensorsDtypes } from "./safetensors-header.ts";
import { type ByteSource, owning } from "./source.ts";
import { type JsonObject, parseJsonObject } from "./text.ts";

/** The limit of the reference implementation. */
const longestHeader = 100_000_000;

/** Opens one safetensors file. The checkpoint owns the source and closes it. */
export function openSafetensors(source: ByteSource): Checkpoint {
  return owning(source, () => {
    const tensors = readTensors(source);
    return withRowScales({ kind: "safetensors", ...storedIn(source, tensors), metadata: new Map() });
  });
}

function readTensors(source: ByteSource): Map<string, StoredTensor> {
  const prefix = source.read(0, 8);
  const view = new DataView(prefix.buffer, prefix.byteOffset, 8);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > longestHeader || length > source.size - 8)
    throw new CheckpointError(
      source.name,
      `a header of ${length} bytes is longer than the file or than the ${longestHeader} bytes that are allowed; this is no safetensors file or it is cut off`,
      { offset: 0 },
    );
  const dataStart = 8 + length;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of parseHeader(source.name, source.read(8, length), 8))
    tensors.set(name, locate(source, name, entry, dataStart));
  checkOverlaps(source.name, tensors.values());
  return tensors;
}

function locate(source: ByteSource, name: string, entry: HeaderEntry, dataStart: number): StoredTensor {
  const fail = (problem: string): never => {
    throw new CheckpointError(source.name, problem, { field: name, offset: entry.at });
  };
  const dtype = Object.hasOwn(safetensorsDtypes, entry.dtype) ? safetensorsDtypes[entry.dtype] : undefined;
  if (dtype === undefined) return fail(`"${entry.dtype}" is no element type of safetensors`);
  const { shape } = entry;
  if (shape.some((d) => d <= 0)) fail(`the shape [${shape}] has a dimension that is not positive`);
  const length = elementCount(shape) * dtype.bytes;
  if (!(length <= Number.MAX_SAFE_INTEGER)) fail(`the shape [${shape}] has more than 2^53 bytes`);
  const [begin, end] = entry.range;
  if (end - begin !== length)
    fail(`data_offsets [${begin}, ${end}] do not span the ${length} bytes of ${entry.dtype} [${shape}]`);
  if (end > source.size - dataStart)
    fail(`data_offsets [${begin}, ${end}] lie beyond the ${source.size - dataStart} bytes of data`);
  return { name, shape, format: dtype.format, offset: dataStart + begin, length };
}

/**
 * Opens the shards that `model.safetensors.index.json` names. `open` opens a file of the same folder by its
 * name. The tensors are those that the index lists, each from the shard it is listed with.
 */
export function openSharded(index: ByteSource, open: (name: string) => ByteSource): Checkpoint {
  const shards = new Map<string, Checkpoint>();
  try {
    const owners = new Map<string, Checkpoint>();
    const map = weightMap(index.name, parseJsonObject(index.name, index.read(0, index.size)));
    for (const [name, shardName] of map) {
      let shard = shards.get(shardName);
      if (shard === undefined) {
        shard = openSafetensors(open(shardName));
        shards.set(shardName, shard);
      }
      if (!shard.tensors.has(name))
        throw new CheckpointError(index.name, `is listed in ${shardName}, which does not hold it`, {
          field: name,
        });
      owners.set(name, shard);
    }
    const [first, ...rest] = shards.values();
    if (first === undefined)
      throw new CheckpointError(index.name, "lists no tensors", { field: "weight_map" });
    return joinCheckpoints(index.name, [first, ...rest], owners);
  } catch (error) {
    for (const shard of shards.values()) shard.close();
    throw error;
  } finally {
    index.close();
  }
}

/** File name of each tensor's shard, from a parsed index. A name that could leave the folder is refused. */
function weightMap(index: string, { weight_map: map }: JsonObject): Map<string, string> {
  if (map === null || map === undefined || typeof map !== "object" || Array.isArray(map))
    throw new CheckpointError(index, "must be an object of tensor names to file names", {
      field: "weight_map",
    });
  const names = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || !/^[^/\\\0]+\.safetensors$/.test(file))
      throw new CheckpointError(
        index,
        `${JSON.stringify(file)} is not the name of a .safetensors file in the same folder`,
        { field: tensor },
      );
    names.set(tensor, file);
  }
  return names;
}

/** The files that a parsed index names. */
export const shardNames = (index: string, content: JsonObject): string[] => [
  ...new Set(weightMap(index, content).values()),
];
