/**
 * A training's state as one file, so that it is whole or absent: tensors as safetensors, and the plain numbers (step,
 * positions) as JSON in a tensor of bytes. Knows names and bytes; must not know what they mean.
 */
import { existsSync } from "node:fs";
import { CheckpointError } from "../base/errors.ts";
import { FileSource } from "../checkpoint/file.ts";
import { openSafetensors } from "../checkpoint/safetensors.ts";
import { writeSafetensors } from "../checkpoint/safetensors-writer.ts";
import { type Device, type DeviceBuffer, Stream, type Tensor } from "../ops/index.ts";

const PLAIN = "plain";

/** Writes f32 tensors and plain numbers; the file appears when all of it is on the disk. */
export async function saveState(
  path: string,
  device: Device,
  tensors: ReadonlyMap<string, Tensor>,
  plain: object,
): Promise<void> {
  const bytes = await new Stream(device).flush([...tensors.values()]);
  const contents = new Map([...tensors.keys()].map((name, i) => [name, bytes[i]!]));
  const json = new TextEncoder().encode(JSON.stringify(plain));
  contents.set(PLAIN, json);
  const list = Array.from(tensors, ([name, { shape }]) => ({ name, shape, dtype: "F32" }));
  await writeSafetensors(
    path,
    [...list, { name: PLAIN, shape: [json.length], dtype: "U8" }],
    ({ name }) => contents.get(name)!,
  );
}

/** Reads them back over the tensors; gives the plain numbers, or undefined where there is no file. */
export function loadState<T>(
  path: string,
  device: Device,
  tensors: ReadonlyMap<string, Tensor>,
): T | undefined {
  if (!existsSync(path)) return undefined;
  const file = openSafetensors(new FileSource(path));
  try {
    const fail = (field: string): never => {
      throw new CheckpointError(path, "is of a training of another model; choose another folder", { field });
    };
    for (const [name, { shape }] of tensors)
      if (file.tensors.get(name)?.shape.join() !== shape.join()) fail(name);
    if (!file.tensors.has(PLAIN)) fail(PLAIN);
    for (const [name, { storage, offset }] of tensors)
      device.write(storage as DeviceBuffer, offset, file.raw(name));
    return JSON.parse(new TextDecoder().decode(file.raw(PLAIN))) as T;
  } finally {
    file.close();
  }
}
