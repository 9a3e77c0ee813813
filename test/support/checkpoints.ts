/** Small checkpoints made on the spot, in memory. */
import { elementCount } from "../../src/checkpoint/checkpoint.ts";
import { encodeGgufHeader, type GgufEntry, type GgufTensor } from "../../src/checkpoint/gguf-writer.ts";
import { encodeSafetensorsHeader, type SafetensorsTensor } from "../../src/checkpoint/safetensors-writer.ts";
import { formatBytes, formats } from "../../src/format/index.ts";

/** Numbers of both signs between -2 and 2, the same every time. */
export const wave = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => 2 * Math.sin(i * i * 0.7 + i));

export const sampleMetadata: ReadonlyMap<string, GgufEntry> = new Map<string, GgufEntry>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["general.file_type", { type: "u32", value: 2 }],
  ["llama.rope.freq_base", { type: "f32", value: 10000 }],
  ["sample.u8", { type: "u8", value: 255 }],
  ["sample.i8", { type: "i8", value: -128 }],
  ["sample.u16", { type: "u16", value: 65535 }],
  ["sample.i16", { type: "i16", value: -32768 }],
  ["sample.i32", { type: "i32", value: -5 }],
  ["sample.u64", { type: "u64", value: 2n ** 64n - 1n }],
  ["sample.i64", { type: "i64", value: -(2 ** 40) }],
  ["sample.f64", { type: "f64", value: Math.PI }],
  ["sample.bool", { type: "bool", value: true }],
  ["sample.empty", { type: "i32", value: [] }],
  ["tokenizer.ggml.tokens", { type: "string", value: ["<s>", "a", "é", "", "日本", "\u{1f600}"] }],
  ["tokenizer.ggml.scores", { type: "f32", value: [0, -1.5, 2, 3, 4, 5] }],
  ["tokenizer.ggml.flags", { type: "bool", value: [true, false] }],
]);

/** One of each format that GGUF has. */
export const sampleTensors: readonly GgufTensor[] = Object.values(formats)
  .filter(({ ggufType }) => ggufType !== undefined)
  .map(({ name }) => ({ name: `blk.0.${name}.weight`, shape: [2, 256], format: name }));

/** Bytes of a tensor that hold `wave`. */
export function packed(tensor: GgufTensor): Uint8Array {
  const elements = elementCount(tensor.shape);
  const bytes = new Uint8Array(formatBytes(tensor.format, elements));
  formats[tensor.format].pack(wave(elements), bytes);
  return bytes;
}

/** A whole GGUF file. */
export function ggufFile(
  metadata: ReadonlyMap<string, GgufEntry> = sampleMetadata,
  tensors: readonly GgufTensor[] = sampleTensors,
): { bytes: Uint8Array; header: number } {
  const { header, alignment } = encodeGgufHeader(metadata, tensors);
  const parts = tensors.flatMap((tensor) => {
    const bytes = packed(tensor);
    return [bytes, new Uint8Array((alignment - (bytes.length % alignment)) % alignment)];
  });
  return { bytes: new Uint8Array(Buffer.concat([header, ...parts])), header: header.length };
}

export const safetensorsSample: readonly SafetensorsTensor[] = [
  { name: "model.embed_tokens.weight", shape: [4, 8], dtype: "F32" },
  { name: 'odd "name" \u{1f600}', shape: [3], dtype: "BF16" },
  { name: "ids", shape: [2, 2], dtype: "I64" },
  { name: "scalar", shape: [], dtype: "F16" },
  { name: "mask", shape: [5], dtype: "BOOL" },
];

/** A whole safetensors file; byte k of the data is k modulo 251. */
export function safetensorsFile(tensors: readonly SafetensorsTensor[] = safetensorsSample): {
  bytes: Uint8Array;
  header: number;
} {
  const header = encodeSafetensorsHeader(tensors);
  const json = JSON.parse(Buffer.from(header.subarray(8)).toString()) as Record<
    string,
    { data_offsets?: [number, number] }
  >;
  const size = Math.max(0, ...Object.values(json).map((t) => t.data_offsets?.[1] ?? 0));
  const data = Uint8Array.from({ length: size }, (_, k) => k % 251);
  return { bytes: new Uint8Array(Buffer.concat([header, data])), header: header.length };
}

/** A safetensors file around a header that may be anything. */
export function rawSafetensors(header: string | Uint8Array, dataBytes: number): Uint8Array {
  const text = typeof header === "string" ? Buffer.from(header) : header;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return new Uint8Array(Buffer.concat([length, text, new Uint8Array(dataBytes)]));
}
