/**
 * Writes GGUF version 3: typed metadata, then tensors that are made one at a time.
 * Knows the layout; must not know which keys a model needs.
 */
import { ParameterError } from "../base/errors.ts";
import { type FormatName, formatBytes, formats } from "../format/index.ts";
import { writeAtomically } from "./atomic-file.ts";
import { elementCount } from "./checkpoint.ts";
import { GgufArray, type GgufScalarType, type GgufValue, ggufTypeBytes, ggufTypes } from "./gguf-values.ts";

type Scalar = Exclude<GgufValue, GgufArray>;

export interface GgufEntry {
  /** Of an array, the type of its elements. */
  readonly type: GgufScalarType;
  /** An array as read is copied in its encoded form. */
  readonly value: GgufValue | readonly Scalar[];
}

export interface GgufTensor {
  readonly name: string;
  /** Row-major, outermost first; rows are whole numbers of blocks. */
  readonly shape: readonly number[];
  readonly format: FormatName;
}

const defaultAlignment = 32;

/**
 * Writes a file. `produce` gives the bytes of each tensor in turn, in its format, and may reuse their memory.
 * The file appears under `path` when it is complete; a failure leaves nothing.
 */
export async function writeGguf<T extends GgufTensor>(
  path: string,
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly T[],
  produce: (tensor: T) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  const { header, alignment } = encodeGgufHeader(metadata, tensors);
  await writeAtomically(path, async (file) => {
    file.write(header);
    for (const tensor of tensors) {
      const bytes = await produce(tensor);
      const expected = formatBytes(tensor.format, elementCount(tensor.shape));
      if (bytes.length !== expected)
        throw new ParameterError(
          tensor.name,
          `${bytes.length} bytes were made where ${tensor.format} [${tensor.shape}] has ${expected}`,
        );
      file.write(bytes);
      file.pad(alignment);
    }
  });
}

/** Everything before the tensors' bytes, padded to the alignment, which each tensor's bytes must be too. */
export function encodeGgufHeader(
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufTensor[],
): { header: Uint8Array; alignment: number } {
  const alignment = (metadata.get("general.alignment")?.value ?? defaultAlignment) as number;
  const out = new Encoder();
  out.number("u32", 0x46554747);
  out.number("u32", 3);
  out.number("u64", tensors.length);
  out.number("u64", metadata.size);
  for (const [key, entry] of metadata) {
    out.string(key);
    encodeEntry(out, key, entry);
  }
  const names = new Set<string>();
  let offset = 0;
  for (const { name, shape, format } of tensors) {
    const type = checkTensor(name, shape, format);
    if (names.has(name)) throw new ParameterError(name, "two tensors have this name");
    names.add(name);
    out.string(name);
    out.number("u32", shape.length);
    for (const d of [...shape].reverse()) out.number("u64", d);
    out.number("u32", type);
    out.number("u64", offset);
    offset += Math.ceil(formatBytes(format, elementCount(shape)) / alignment) * alignment;
  }
  out.pad(alignment);
  return { header: out.bytes(), alignment };
}

/** The number of its type. */
function checkTensor(name: string, shape: readonly number[], format: FormatName): number {
  const { ggufType, block } = formats[format];
  if (ggufType === undefined)
    throw new ParameterError(name, `GGUF has no type for ${format}; write safetensors, or use q8_0`);
  if (shape.length < 1 || shape.length > 4 || shape.some((d) => !Number.isSafeInteger(d) || d < 1))
    throw new ParameterError(name, `a GGUF tensor has 1 to 4 positive dimensions, not [${shape}]`);
  if ((shape.at(-1) as number) % block !== 0)
    throw new ParameterError(
      name,
      `rows of ${shape.at(-1)} elements are no whole number of ${format} blocks of ${block}`,
    );
  return ggufType;
}

function encodeEntry(out: Encoder, key: string, { type, value }: GgufEntry): void {
  const typeNumber = (name: GgufScalarType | "array") => out.number("u32", ggufTypes.indexOf(name));
  if (typeof value !== "object") {
    typeNumber(type);
    out.scalar(key, type, value);
    return;
  }
  typeNumber("array");
  typeNumber(type);
  out.number("u64", value.length);
  if (value instanceof GgufArray) {
    if (value.type !== type) throw new ParameterError(key, `is an array of ${value.type}, not ${type}`);
    out.raw(value.encoded());
  } else for (const element of value) out.scalar(key, type, element);
}

const ranges: Readonly<
  Record<"u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64", [bigint, bigint]>
> = {
  u8: [0n, 0xffn],
  i8: [-0x80n, 0x7fn],
  u16: [0n, 0xffffn],
  i16: [-0x8000n, 0x7fffn],
  u32: [0n, 0xffff_ffffn],
  i32: [-0x8000_0000n, 0x7fff_ffffn],
  u64: [0n, 0xffff_ffff_ffff_ffffn],
  i64: [-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn],
};

/** Little-endian bytes that grow as they are written. */
class Encoder {
  #view = new DataView(new ArrayBuffer(4096));
  #size = 0;
  readonly #utf8 = new TextEncoder();

  /** Room for `count` more bytes; returns where they begin. */
  #grow(count: number): number {
    const start = this.#size;
    this.#size += count;
    if (this.#size > this.#view.byteLength) {
      const larger = new Uint8Array(Math.max(this.#size, 2 * this.#view.byteLength));
      larger.set(new Uint8Array(this.#view.buffer, 0, start));
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  raw(bytes: Uint8Array): void {
    const p = this.#grow(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, p);
  }

  string(text: string): void {
    const bytes = this.#utf8.encode(text);
    this.number("u64", bytes.length);
    this.raw(bytes);
  }

  /** A value of the given type; one that the type cannot hold is refused. */
  scalar(key: string, type: GgufScalarType, value: Scalar): void {
    const refuse: () => never = () => {
      throw new ParameterError(key, `${String(value)} is no value of type ${type}`);
    };
    if (type === "string") {
      if (typeof value !== "string") refuse();
      this.string(value);
    } else if (type === "bool") {
      if (typeof value !== "boolean") refuse();
      this.number("u8", value ? 1 : 0);
    } else if (type === "f32" || type === "f64") {
      if (typeof value !== "number") refuse();
      this.number(type, value);
    } else {
      if (typeof value !== "bigint" && !(typeof value === "number" && Number.isSafeInteger(value))) refuse();
      const [least, most] = ranges[type];
      if (value < least || value > most) refuse();
      this.number(type, value);
    }
  }

  number(type: Exclude<GgufScalarType, "string" | "bool">, value: number | bigint): void {
    const p = this.#grow(ggufTypeBytes[type]);
    const view = this.#view;
    if (type === "u64") view.setBigUint64(p, BigInt(value), true);
    else if (type === "i64") view.setBigInt64(p, BigInt(value), true);
    else {
      const n = Number(value);
      if (type === "f32") view.setFloat32(p, n, true);
      else if (type === "f64") view.setFloat64(p, n, true);
      else if (type === "u32" || type === "i32") view.setUint32(p, n, true);
      else if (type === "u16" || type === "i16") view.setUint16(p, n, true);
      else view.setUint8(p, n);
    }
  }

  pad(alignment: number): void {
    this.#grow((alignment - (this.#size % alignment)) % alignment);
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#size);
  }
}
