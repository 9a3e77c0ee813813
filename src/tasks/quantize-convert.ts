/**
 * Tensors in another number format, one after the other, and what each of them lost. Knows numbers; must not know which
 * file they are written to.
 */
import { CheckpointError, ParameterError } from "../base/errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type FormatName, formatBytes, formats, shapedBytes } from "../format/index.ts";
import type { GgufWeight } from "../models/index.ts";
import { type WeightRows, weightRows } from "./weight-rows.ts";

export interface QuantizedTensor {
  /** Name in the file that is written. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: FormatName;
  readonly to: FormatName;
  /** In the file. */
  readonly bytes: number;
  /** Root of the mean squared error over that of the values; 0 when nothing is lost. */
  readonly relativeError: number;
  readonly largestError: number;
}

export interface ConversionOptions {
  /** Called when a tensor is done; with its number from 1 and the number of all. */
  readonly onTensor?: (tensor: QuantizedTensor, done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Elements that are converted between two looks at the signal. */
const CHUNK = 1 << 20;

export class Conversion {
  readonly tensors: QuantizedTensor[] = [];
  /** Of all tensors so far, as the checkpoint has them. */
  bytesBefore = 0;
  private readonly checkpoint: Checkpoint;
  private readonly total: number;
  private readonly options: ConversionOptions;

  /** @param total tensors that are to be converted */
  constructor(checkpoint: Checkpoint, total: number, options: ConversionOptions) {
    this.checkpoint = checkpoint;
    this.total = total;
    this.options = options;
  }

  get bytesAfter(): number {
    return this.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The bytes of a weight in a format, by default in its own. */
  async convert(weight: GgufWeight, format?: FormatName): Promise<Uint8Array> {
    const { path } = this.checkpoint;
    this.options.signal?.throwIfAborted();
    const rows = weightRows(this.checkpoint, weight);
    const { name, shape } = weight;
    const to = format ?? rows.format;
    const { bytes, ...errors } = await converted(path, name, rows, to, this.options.signal);
    rows.release();
    const tensor = { name, shape, from: rows.format, to, bytes: bytes.length, ...errors };
    this.tensors.push(tensor);
    this.bytesBefore += shapedBytes(rows.format, shape);
    this.options.onTensor?.(tensor, this.tensors.length, this.total);
    return bytes;
  }
}

/** Lets other work run between chunks. */
async function converted(
  file: string,
  name: string,
  rows: WeightRows,
  to: FormatName,
  signal: AbortSignal | undefined,
): Promise<Pick<QuantizedTensor, "relativeError" | "largestError"> & { bytes: Uint8Array }> {
  const { format: from, k, unchanged } = rows;
  if (from === to && unchanged !== undefined) return { bytes: unchanged, relativeError: 0, largestError: 0 };
  if (!formats[from].float && !formats[to].float)
    throw new ParameterError(
      "format",
      `${file}: "${name}" is ${from} already, and making it ${to} would lose more; quantize the original weights`,
    );
  const { pack, unpack } = formats[to];
  const bytes = new Uint8Array(formatBytes(to, rows.rows * k, rows.rows));
  const step = Math.max(1, Math.floor(CHUNK / k));
  const back = new Float32Array(Math.min(step, rows.rows) * k);
  let [errors, squares, largestError] = [0, 0, 0];
  for (let row = 0; row < rows.rows; row += step) {
    signal?.throwIfAborted();
    const end = Math.min(rows.rows, row + step);
    const values = rows.read(row, end);
    const part = bytes.subarray(formatBytes(to, row * k, row), formatBytes(to, end * k, end));
    try {
      pack(values, part);
    } catch (cause) {
      throw new CheckpointError(file, `cannot become ${to}: ${(cause as Error).message}`, {
        field: name,
        cause,
      });
    }
    const again = back.subarray(0, values.length);
    unpack(part, again);
    for (let i = 0; i < values.length; i++) {
      const x = values[i] as number;
      const error = Math.abs(x - (again[i] as number));
      errors += error * error;
      squares += x * x;
      if (error > largestError) largestError = error;
    }
    await new Promise(setImmediate);
  }
  return { bytes, relativeError: squares > 0 ? Math.sqrt(errors / squares) : 0, largestError };
}
