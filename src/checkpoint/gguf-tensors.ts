/**
 * The element types of tensors in GGUF files: names, numbers and block sizes.
 */
import { type FormatName, formats } from "../format/index.ts";
import type { OtherDtype } from "./checkpoint.ts";

export interface GgmlType {
  readonly name: FormatName | OtherDtype;
  /** Elements in a block. */
  readonly block: number;
  readonly blockBytes: number;
}

const others: readonly [number, OtherDtype, number, number][] = [
  [9, "q8_1", 32, 36],
  [10, "q2_K", 256, 84],
  [11, "q3_K", 256, 110],
  [15, "q8_K", 256, 292],
  [16, "iq2_xxs", 256, 66],
  [17, "iq2_xs", 256, 74],
  [18, "iq3_xxs", 256, 98],
  [19, "iq1_s", 256, 50],
  [20, "iq4_nl", 32, 18],
  [21, "iq3_s", 256, 110],
  [22, "iq2_s", 256, 82],
  [23, "iq4_xs", 256, 136],
  [24, "i8", 1, 1],
  [25, "i16", 1, 2],
  [26, "i32", 1, 4],
  [27, "i64", 1, 8],
  [28, "f64", 1, 8],
  [29, "iq1_m", 256, 56],
  [34, "tq1_0", 256, 54],
  [35, "tq2_0", 256, 66],
  [39, "mxfp4", 32, 17],
];

/** By type number. */
export const ggmlTypes: ReadonlyMap<number, GgmlType> = new Map<number, GgmlType>([
  ...Object.values(formats).flatMap((f): [number, GgmlType][] =>
    f.ggufType === undefined ? [] : [[f.ggufType, f]],
  ),
  ...others.map(([id, name, block, blockBytes]): [number, GgmlType] => [id, { name, block, blockBytes }]),
]);
