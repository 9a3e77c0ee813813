/**
 * Writes safetensors: a header, then tensors that are made one at a time. Knows the layout only.
 */
import { ParameterError } from "../base/errors.ts";
import { writeAtomically } from "./atomic-file.ts";
import { elementCount } from "./checkpoint.ts";
import { safetensorsDtypes } from "./safetensors-header.ts";

export interface SafetensorsTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** As safetensors names it: "F32", "BF16", "I64", ... */
  readonly dtype: string;
}

/**
 * Writes a file. `produce` gives the bytes of each tensor in turn and may reuse their memory.
 * The file appears under `path` when it is complete; a failure leaves nothing.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly SafetensorsTensor[],
  produce: (tensor: SafetensorsTensor) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  const header = encodeSafetensorsHeader(tensors);
  await writeAtomically(path, async (file) => {
    file.write(header);
    for (const tensor of tensors) {
      const bytes = await produce(tensor);
      const expected = byteLength(tensor);
      if (bytes.length !== expected)
        throw new ParameterError(
          tensor.name,
          `${bytes.length} bytes were made where ${tensor.dtype} [${tensor.shape}] has ${expected}`,
        );
      file.write(bytes);
    }
  });
}

function byteLength({ name, shape, dtype }: SafetensorsTensor): number {
  const type = Object.hasOwn(safetensorsDtypes, dtype) ? safetensorsDtypes[dtype] : undefined;
  if (type === undefined) throw new ParameterError(name, `${dtype} is no element type of safetensors`);
  if (shape.some((d) => !Number.isSafeInteger(d) || d < 1))
    throw new ParameterError(name, `the shape [${shape}] has a dimension that is not positive`);
  return elementCount(shape) * type.bytes;
}

/** Everything before the tensors' bytes; these follow each other without gaps. */
export function encodeSafetensorsHeader(tensors: readonly SafetensorsTensor[]): Uint8Array {
  const entries = new Map<string, object>([["__metadata__", { format: "pt" }]]);
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, dtype } = tensor;
    if (entries.has(name)) throw new ParameterError(name, "two tensors have this name, or it is reserved");
    const end = offset + byteLength(tensor);
    entries.set(name, { dtype, shape, data_offsets: [offset, end] });
    offset = end;
  }
  const json = JSON.stringify(Object.fromEntries(entries));
  const text = new TextEncoder().encode(json);
  // Spaces up to a multiple of 8, so that the data begin aligned.
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}
