/**
 * A model that was trained, as files in the Hugging Face layout: config.json, generation_config.json and
 * model.safetensors. Knows names and numbers; must not know how they were learned.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "../checkpoint/safetensors-writer.ts";
import type { NamedValues } from "../nn/index.ts";
import { writeJson } from "./files.ts";

export interface ModelFiles {
  /** What config.json says. */
  readonly config: object;
  /** What generation_config.json says. */
  readonly generation: object;
  readonly weights: readonly NamedValues[];
}

/** The weights are written last: where they are, all is there. */
export async function writeModel(folder: string, { config, generation, weights }: ModelFiles): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeJson(join(folder, "config.json"), config);
  writeJson(join(folder, "generation_config.json"), generation);
  const list = weights.map(({ name, shape }) => ({ name, shape, dtype: "F32" }));
  const values = new Map(weights.map((weight) => [weight.name, weight.values]));
  await writeSafetensors(join(folder, "model.safetensors"), list, ({ name }) => {
    const { buffer, byteOffset, byteLength } = values.get(name)!;
    return new Uint8Array(buffer, byteOffset, byteLength);
  });
}
