/**
 * What every checkpoint offers, whatever file holds it: named tensors in known formats, and metadata.
 * Knows no file layout; readers of layouts (safetensors, GGUF) implement it.
 */
import { CheckpointError } from "../base/errors.ts";
import { type FormatName, formats, isFormat } from "../format/index.ts";
import type { GgufScalarType, GgufValue } from "./gguf-values.ts";
import type { ByteSource } from "./source.ts";

/** Element types that files hold but that are no weight formats here: listed, and refused as weights. */
export type OtherDtype =
  | "f64"
  | "c64"
  | "f8_e4m3"
  | "f8_e5m2"
  | "f8_e8m0"
  | "i64"
  | "u64"
  | "i32"
  | "u32"
  | "i16"
  | "u16"
  | "i8"
  | "u8"
  | "bool"
  | "q8_1"
  | "q2_K"
  | "q3_K"
  | "q8_K"
  | "iq2_xxs"
  | "iq2_xs"
  | "iq3_xxs"
  | "iq1_s"
  | "iq4_nl"
  | "iq3_s"
  | "iq2_s"
  | "iq4_xs"
  | "iq1_m"
  | "tq1_0"
  | "tq2_0"
  | "mxfp4";

export interface TensorInfo {
  readonly name: string;
  /** Row-major, outermost first (so the reverse of GGUF's order). Empty for a scalar. */
  readonly shape: readonly number[];
  readonly format: FormatName | OtherDtype;
}

export interface Checkpoint {
  readonly kind: "safetensors" | "gguf";
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Bytes of a tensor of weights, as the file holds them. Refuses an unknown name and a format that is none. */
  bytes(name: string): Uint8Array;
  /** Bytes of a tensor of any element type. */
  raw(name: string): Uint8Array;
  /** The bytes of this view are not needed for now. */
  release(view: Uint8Array): void;
  /** Of a GGUF file; empty for safetensors. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** The stored types of the metadata of a GGUF file; of an array, that of its elements. */
  readonly metadataTypes?: ReadonlyMap<string, GgufScalarType>;
  close(): void;
}

/** A tensor and where it lies in its file. */
export interface StoredTensor extends TensorInfo {
  /** Absolute, in bytes. */
  readonly offset: number;
  readonly length: number;
}

export const elementCount = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** The tensor of that name, or an error that names the file. */
export function tensorOf<T extends TensorInfo>(
  path: string,
  tensors: ReadonlyMap<string, T>,
  name: string,
): T {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new CheckpointError(path, "the file has no such tensor", { field: name });
  return tensor;
}

/** Refuses a tensor whose element type is no weight format. */
export function requireWeights(path: string, tensor: TensorInfo): void {
  if (!isFormat(tensor.format))
    throw new CheckpointError(
      path,
      `has the type ${tensor.format}, which Fovea does not read as weights (it reads ${Object.keys(formats).join(", ")})`,
      { field: tensor.name },
    );
}

/** Refuses tensors whose bytes overlap. `offset` in the error is that of the later one. */
export function checkOverlaps(path: string, tensors: Iterable<StoredTensor>): void {
  let last: StoredTensor | undefined;
  for (const tensor of [...tensors].sort((a, b) => a.offset - b.offset)) {
    if (last !== undefined && tensor.offset < last.offset + last.length)
      throw new CheckpointError(path, `overlaps the tensor "${last.name}"`, {
        field: tensor.name,
        offset: tensor.offset,
      });
    last = tensor;
  }
}

/** A tensor of weights (or f64) as f32. */
export function readF32(checkpoint: Checkpoint, name: string): Float32Array {
  const tensor = tensorOf(checkpoint.path, checkpoint.tensors, name);
  if (tensor.format === "f64") {
    const bytes = checkpoint.raw(name).slice();
    return Float32Array.from(new Float64Array(bytes.buffer));
  }
  const bytes = checkpoint.bytes(name);
  const values = new Float32Array(elementCount(tensor.shape));
  formats[tensor.format as FormatName].unpack(bytes, values);
  return values;
}

/** A tensor of integers or booleans as numbers; one beyond 2^53 is refused. */
export function readIntegers(checkpoint: Checkpoint, name: string): number[] {
  const tensor = tensorOf(checkpoint.path, checkpoint.tensors, name);
  const view = integerViews[tensor.format];
  if (view === undefined)
    throw new CheckpointError(checkpoint.path, `has the type ${tensor.format}, not an integer type`, {
      field: name,
    });
  const values = Array.from(view(checkpoint.raw(name).slice().buffer), Number);
  if (!values.every(Number.isSafeInteger))
    throw new CheckpointError(checkpoint.path, "has integers beyond 2^53", { field: name });
  return values;
}

const integerViews: Readonly<Partial<Record<string, (b: ArrayBuffer) => ArrayLike<number | bigint>>>> = {
  i64: (b) => new BigInt64Array(b),
  u64: (b) => new BigUint64Array(b),
  i32: (b) => new Int32Array(b),
  u32: (b) => new Uint32Array(b),
  i16: (b) => new Int16Array(b),
  u16: (b) => new Uint16Array(b),
  i8: (b) => new Int8Array(b),
  u8: (b) => new Uint8Array(b),
  bool: (b) => new Uint8Array(b),
};

/** What a checkpoint of one file offers, given where its tensors lie. */
export function storedIn(source: ByteSource, tensors: ReadonlyMap<string, StoredTensor>) {
  const raw = (name: string): Uint8Array => {
    const { offset, length } = tensorOf(source.name, tensors, name);
    return source.read(offset, length);
  };
  return {
    path: source.name,
    tensors,
    raw,
    bytes(name: string): Uint8Array {
      requireWeights(source.name, tensorOf(source.name, tensors, name));
      return raw(name);
    },
    release: (view: Uint8Array): void => source.release(view),
    close: (): void => source.close(),
  };
}
