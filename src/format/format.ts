/**
 * What a number format is: a block layout with a way out of it (`unpack`) and into it (`pack`).
 * Knows nothing of tensors, files or kernels.
 */
import { ParameterError } from "../base/errors.ts";

export type FormatName =
  | "f32"
  | "f16"
  | "bf16"
  | "q8_0"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q4_K"
  | "q5_K"
  | "q6_K"
  | "i8_row";

export interface NumberFormat {
  readonly name: FormatName;
  /** Elements in a block. */
  readonly block: number;
  /** Bytes in a block. */
  readonly blockBytes: number;
  /** Bytes in front of each row, where what belongs to the whole row stands; formats of blocks alone have none. */
  readonly rowBytes: number;
  /** Whether values are kept as floats, each by itself. */
  readonly float: boolean;
  /** Type number in a GGUF file; undefined where GGUF has no such type. */
  readonly ggufType: number | undefined;
  /**
   * Decodes exactly `dst.length` elements; `src` holds exactly their bytes, of one row or several equal ones.
   * Lengths that do not fit are refused.
   */
  unpack(src: Uint8Array, dst: Float32Array): void;
  /**
   * Encodes exactly `src.length` elements; with `rowBytes`, `dst` tells how many rows they are. The float formats keep NaN and infinity; block formats refuse them.
   * A finite value (or block scale) that the format cannot reach is refused, never turned into infinity.
   */
  pack(src: Float32Array, dst: Uint8Array): void;
}

/** One block codec: `bytes` begins at `p`, `floats` at `i`. */
export interface BlockCodec {
  readonly name: FormatName;
  readonly block: number;
  readonly blockBytes: number;
  readonly ggufType: number;
  decode(bytes: Uint8Array, p: number, floats: Float32Array, i: number): void;
  encode(floats: Float32Array, i: number, bytes: Uint8Array, p: number): void;
}

/** Refuses lengths that are not the same whole number of blocks. */
export function checkLengths(
  format: { name: FormatName; block: number; blockBytes: number },
  elements: number,
  bytes: number,
): void {
  const blocks = elements / format.block;
  if (!Number.isInteger(blocks) || blocks * format.blockBytes !== bytes)
    throw new ParameterError(
      format.name,
      `${elements} elements and ${bytes} bytes do not fit together: a block holds ${format.block} elements in ${format.blockBytes} bytes`,
    );
}

/** A format from the codec of its block. */
export function blockFormat(codec: BlockCodec): NumberFormat {
  const { name, block, blockBytes, ggufType, decode, encode } = codec;
  return {
    name,
    block,
    blockBytes,
    ...{ rowBytes: 0, float: false },
    ggufType,
    unpack(src, dst) {
      checkLengths(codec, dst.length, src.length);
      for (let i = 0, p = 0; i < dst.length; i += block, p += blockBytes) decode(src, p, dst, i);
    },
    pack(src, dst) {
      checkLengths(codec, src.length, dst.length);
      for (let i = 0, p = 0; i < src.length; i += block, p += blockBytes) encode(src, i, dst, p);
    },
  };
}

/** Refuses a block that holds a NaN or an infinity: a block scale could not represent the others beside it. */
export function notFinite(name: FormatName, floats: Float32Array, i: number, block: number): never {
  let k = i;
  while (k < i + block - 1 && Number.isFinite(floats[k])) k++;
  throw new ParameterError(name, `element ${k} is ${floats[k]}; only finite numbers can be packed`);
}
