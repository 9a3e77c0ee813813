/** Writes what was learned to a safetensors file in the Hugging Face layout. */
import { writeSafetensors } from "../checkpoint/safetensors-writer.ts";
import { formatBytes, formats } from "../format/index.ts";
import type { TrainableWeights } from "../nn/index.ts";
import type { Tensor } from "../ops/index.ts";

export interface SaveWeightsOptions {
  /** Default f32, which loses nothing. */
  readonly format?: "f32" | "f16" | "bf16";
  /** Written in place of the parameters, by their names: averages of them, say. */
  readonly values?: ReadonlyMap<string, Tensor>;
}

const dtypes = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/**
 * Writes all tensors that learn, in the names and shapes of the checkpoint that they came from. The file appears when
 * it is complete.
 */
export async function saveWeights(
  path: string,
  weights: TrainableWeights,
  { format = "f32", values }: SaveWeightsOptions = {},
): Promise<void> {
  const tensors = new Map((await weights.read(values)).map((tensor) => [tensor.name, tensor]));
  const list = [...tensors.values()].map(({ name, shape }) => ({ name, shape, dtype: dtypes[format] }));
  await writeSafetensors(path, list, ({ name }) => {
    const numbers = tensors.get(name)!.values;
    const bytes = new Uint8Array(formatBytes(format, numbers.length));
    formats[format].pack(numbers, bytes);
    return bytes;
  });
}
