/**
 * Opens the files of a located checkpoint. Knows which reader reads which kind, and files; the readers do not.
 */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { FileSource } from "./file.ts";
import { openGguf, openSplitGguf } from "./gguf.ts";
import { type CheckpointFiles, indexName } from "./locate.ts";
import { openSafetensors, openSharded, shardNames } from "./safetensors.ts";
import { type JsonObject, parseJsonObject } from "./text.ts";

/** Opens a checkpoint. Reads headers only; tensors are read (or mapped) when asked for. */
export function openCheckpoint(files: CheckpointFiles): Checkpoint {
  const [first, ...rest] = files.weights;
  if (files.kind === "safetensors")
    return basename(first) === indexName ? openShards(first) : openSafetensors(new FileSource(first));
  if (rest.length === 0) return openGguf(new FileSource(first));
  const sources: FileSource[] = [];
  try {
    for (const path of files.weights) sources.push(new FileSource(path));
  } catch (error) {
    for (const source of sources) source.close();
    throw error;
  }
  return openSplitGguf(sources as [FileSource, ...FileSource[]]);
}

function openShards(index: string): Checkpoint {
  const folder = dirname(index);
  return openSharded(new FileSource(index), (name) => {
    const path = join(folder, name);
    if (!existsSync(path))
      throw new CheckpointError(path, `is missing: ${indexName} names it; the download may be incomplete`);
    return new FileSource(path);
  });
}

/** The files that hold weights: what an index names, or the files themselves. */
export function weightFiles(weights: CheckpointFiles["weights"]): readonly string[] {
  const [first] = weights;
  if (basename(first) !== indexName) return weights;
  return shardNames(first, readJsonFile(first)).map((name) => join(dirname(first), name));
}

/** Reads a JSON file whose top is an object: config.json and its like. */
export function readJsonFile(path: string): JsonObject {
  const source = new FileSource(path);
  try {
    return parseJsonObject(path, source.read(0, source.size));
  } finally {
    source.close();
  }
}
