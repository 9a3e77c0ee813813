/**
 * Which format each tensor of a quantized GGUF file gets: the rules of llama.cpp's own quantizer for its plain
 * types (one format for all matrices, more bits for the output), and its substitutes for rows that do not fit.
 */
import { type FormatName, formats } from "../format/index.ts";

const isFloat = (format: FormatName): boolean => formats[format].float;

/** Of norms, biases and other vectors; routers of experts; learned positions; factors of rotary frequencies. */
const kept = /(_norm\.weight|\.bias|ffn_gate_inp(_shexp)?\.weight|^position_embd\.weight|^rope_.*)$/;

/** The format for a tensor of the given GGUF name and shape. `tied`: the embedding is the output too. */
export function tensorFormat(
  name: string,
  shape: readonly number[],
  wanted: FormatName,
  tied: boolean,
): FormatName {
  if (shape.length < 2 || kept.test(name)) return "f32";
  const k = shape.at(-1) as number;
  const output = name === "output.weight" || (tied && name === "token_embd.weight");
  return fitting(output ? outputFormat(wanted, k) : wanted, k);
}

/** The output decides every token and is read once for each: it gets 6 bits and more. */
function outputFormat(wanted: FormatName, k: number): FormatName {
  if (isFloat(wanted) || wanted === "q8_0" || wanted === "i8_row") return wanted;
  return fitting("q6_K", k);
}

const substitutes: Readonly<Partial<Record<FormatName, FormatName>>> = {
  q4_K: "q5_0",
  q5_K: "q5_1",
  q6_K: "q8_0",
};

/** The nearest format whose blocks fill rows of k elements. */
function fitting(format: FormatName, k: number): FormatName {
  if (k % formats[format].block === 0) return format;
  const substitute = substitutes[format];
  return substitute === undefined ? "f16" : fitting(substitute, k);
}
