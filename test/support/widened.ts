/**
 * The story model made four times as wide without changing what it computes, so that its rows are whole
 * super-blocks of 256 and every format can hold it.
 *
 * Each index i of the hidden state, of a head's components and of the inner layer becomes 4i, and what lies
 * between is zero. A mean of squares is then a quarter, so norms have a quarter of the epsilon and half the
 * weight; scores are divided by the root of a head four times as wide, so queries are doubled; angles belong to
 * 2i / d, which stays. All of these are powers of two: in f32 nothing is rounded otherwise.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { readF32 } from "../../src/checkpoint/checkpoint.ts";
import { locate } from "../../src/checkpoint/locate.ts";
import { openCheckpoint, readJsonFile } from "../../src/checkpoint/open.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors-writer.ts";

const WIDER = 4;
/** What rows must be multiples of. */
const BLOCK = 256;

/** Writes the wide twin of the Llama checkpoint in `folder`, whose hidden size is 64, to `out`. */
export async function widen(folder: string, out: string): Promise<void> {
  const files = locate(folder);
  const checkpoint = openCheckpoint(files);
  const wide = (size: number): number => Math.ceil((WIDER * size) / BLOCK) * BLOCK;
  const tensors = [...checkpoint.tensors.values()].map(({ name, shape }) => {
    // Key and value heads are fewer: their rows need no whole block, and may not be more than there are heads for.
    const rows = name.includes("embed_tokens")
      ? shape[0]!
      : /[kv]_proj/.test(name)
        ? WIDER * shape[0]!
        : wide(shape[0]!);
    return { name, shape: shape.length === 1 ? [rows] : [rows, wide(shape[1]!)], dtype: "F32" };
  });
  const config = readJsonFile(files.config!) as Record<string, number>;
  mkdirSync(out, { recursive: true });
  const changed = {
    hidden_size: wide(config.hidden_size!),
    intermediate_size: wide(config.intermediate_size!),
    head_dim: WIDER * config.head_dim!,
    rms_norm_eps: config.rms_norm_eps! / WIDER,
  };
  writeFileSync(`${out}/config.json`, JSON.stringify({ ...config, ...changed }));
  await writeSafetensors(`${out}/model.safetensors`, tensors, ({ name, shape: [rows = 0, columns] }) => {
    const from = checkpoint.tensors.get(name)!.shape;
    const values = readF32(checkpoint, name);
    const factor = name.includes("norm")
      ? 1 / Math.sqrt(WIDER)
      : name.includes("q_proj")
        ? Math.sqrt(WIDER)
        : 1;
    const spread = new Float32Array(rows * (columns ?? 1));
    const step = name.includes("embed_tokens") ? 1 : WIDER;
    const [m = 0, k = 1] = from;
    for (let i = 0; i < m; i++)
      for (let j = 0; j < k; j++)
        spread[step * i * (columns ?? 1) + (columns ? WIDER : 1) * j] = factor * values[i * k + j]!;
    return new Uint8Array(spread.buffer);
  });
  checkpoint.close();
}
