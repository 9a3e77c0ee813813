/** Loads small models with packed weights kept in a file, and tells what became of that. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { Fields } from "../../src/checkpoint/config.ts";
import { PackedCache, type PackedStore } from "../../src/checkpoint/packed-cache.ts";
import { loadModel } from "../../src/models/index.ts";
import type { Device } from "../../src/ops/index.ts";
import { forwardAll } from "./models.ts";

export interface Loaded {
  readonly logits: Float32Array;
  /** Whether the kept file was sound and used. */
  readonly used: boolean;
  readonly warnings: readonly string[];
}

/** A file that stands for the checkpoint's, by which the cache knows it. */
export function standIn(folder: string, content = "weights"): string {
  const path = join(folder, "model.gguf");
  writeFileSync(path, content);
  return path;
}

/** @param path the file that the cache lies beside; undefined: nothing is kept */
export async function loadKept(
  device: Device,
  { checkpoint, config }: { checkpoint: Checkpoint; config: ConstructorParameters<typeof Fields>[1] },
  ids: readonly number[],
  path: string | undefined,
  folder?: string,
): Promise<Loaded> {
  const warnings: string[] = [];
  let used = false;
  let packed: PackedStore | undefined;
  if (path !== undefined) {
    const options = { least: 0, warn: (message: string) => warnings.push(message) };
    const cache = new PackedCache([path], path, folder === undefined ? options : { ...options, folder });
    packed = {
      create: (...all) => cache.create(...all),
      find(...all) {
        const kept = cache.find(...all);
        if (kept === undefined) return undefined;
        used = true;
        const refuse = (problem: string): void => {
          used = false;
          kept.refuse(problem);
        };
        return { ...kept, refuse };
      },
    };
  }
  const model = await loadModel(checkpoint, new Fields("config.json", config), device, { packed });
  const before = await forwardAll(model, [ids]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  // Again, when background work has perhaps moved the weights.
  const { logits } = await forwardAll(model, [ids]);
  if (Buffer.compare(bytesOf(before.logits), bytesOf(logits)) !== 0)
    throw new Error("the logits have changed");
  await model.weights.close();
  return { logits, used, warnings };
}

export const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
