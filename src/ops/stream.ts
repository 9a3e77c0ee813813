/**
 * A step's ops, collected synchronously and run together. Models, caches and methods speak to a device
 * only by pushing ops here; the memory of what they make ends with the flush.
 */
import { OpError } from "../base/errors.ts";
import { debugging, printOps } from "./debug.ts";
import type { Device, PreparedPlan, RunResult } from "./device.ts";
import type { Precision } from "./matmul.ts";
import { type Plan, planArena } from "./plan.ts";
import { definitionOf, eachTensor, type Op } from "./registry.ts";
import { type ArenaSlot, type DType, isArena, Tensor, tensorBytes } from "./tensor.ts";

export interface StreamOptions {
  /**
   * What the operands of products are rounded to, unless the one who pushes says otherwise; quantized weights and
   * their activations are not. Default `f32`, which rounds nothing.
   */
  readonly precision?: Precision | undefined;
}

export class Stream {
  readonly device: Device;
  readonly precision: Precision;
  private ops: Op[] = [];
  private slots: ArenaSlot[] = [];
  /** By slot number: whether an op or an upload has given it content. */
  private written: boolean[] = [];
  private uploads: Plan["uploads"][number][] = [];

  constructor(device: Device, { precision = "f32" }: StreamOptions = {}) {
    this.device = device;
    this.precision = precision;
  }

  /** A new tensor in the arena, with undefined content; it must be written before it is read. */
  empty(dtype: DType, shape: readonly number[]): Tensor {
    const slot = { slot: this.slots.length, bytes: tensorBytes(dtype, shape) };
    this.slots.push(slot);
    this.written.push(false);
    return new Tensor(dtype, shape, slot);
  }

  /** A new tensor in the arena that holds the given numbers; they are copied when the step runs. */
  constant(data: Int32Array | Float32Array, shape: readonly number[] = [data.length]): Tensor {
    const tensor = this.empty(data instanceof Int32Array ? "i32" : "f32", shape);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (bytes.length !== tensor.bytes)
      throw new OpError("constant", `${data.length} numbers do not fill [${shape}]`);
    const { slot } = tensor.storage as ArenaSlot;
    this.uploads.push({ slot, bytes });
    this.written[slot] = true;
    return tensor;
  }

  /** Checks an op and appends it; on a stream of bf16, a product with a weight of floats in rows as a matmul. */
  push(op: Op): void {
    definitionOf(op).check(op);
    if (op.kind === "linear" && this.precision === "bf16" && isPlain(op.weight)) this.pushRounded(op);
    else this.append(op);
  }

  private pushRounded({ x, weight, bias, y }: Extract<Op, { kind: "linear" }>): void {
    const one = (tensor: Tensor): Tensor => tensor.reshape(1, ...tensor.shape);
    const product = bias ? this.empty("f32", y.shape) : y;
    const settings = { transposeA: 0, transposeB: 1, precision: this.precision };
    this.append({ kind: "matmul", a: one(x), b: one(weight), y: one(product), ...settings });
    if (bias) this.append({ kind: "add", a: product, b: bias.reshape(1, bias.elements), y });
  }

  private append(op: Op): void {
    eachTensor(op, (tensor, written, field) => {
      if (!written) this.checkReadable(op.kind, field, tensor);
      else if (isArena(tensor.storage)) {
        this.checkCurrent(op.kind, field, tensor.storage);
        this.written[tensor.storage.slot] = true;
      }
    });
    this.ops.push(op);
  }

  /** The ops of the step so far. */
  get pushed(): readonly Op[] {
    return this.ops;
  }

  /** Runs all ops and ends the step; resolves with the bytes of the given tensors. */
  async flush(outputs: readonly Tensor[] = []): Promise<readonly Uint8Array[]> {
    const plan = this.end(outputs);
    return outputsOf(this.device, plan, await this.device.run(plan));
  }

  /**
   * Ends the step without running it: a recording, which runs it as often as it is told to, with constants as they
   * are in their arrays at that time.
   */
  record(outputs: readonly Tensor[] = []): Recording {
    return new Recording(this.device, this.end(outputs));
  }

  private end(outputs: readonly Tensor[]): Plan {
    for (const output of outputs) this.checkReadable("flush", "an output", output);
    const plan = planArena(this.ops, this.slots, this.uploads, outputs, debugging());
    this.ops = [];
    this.slots = [];
    this.written = [];
    this.uploads = [];
    return plan;
  }

  /** Flushes, and reads one f32 tensor. */
  async read(tensor: Tensor): Promise<Float32Array> {
    if (tensor.dtype !== "f32") throw new OpError("read", `${tensor} is not f32`);
    const [bytes] = await this.flush([tensor]);
    return new Float32Array(bytes!.buffer, bytes!.byteOffset, bytes!.byteLength / 4);
  }

  private checkCurrent(op: string, field: string, slot: ArenaSlot): void {
    if (this.slots[slot.slot] !== slot) throw new OpError(op, `${field} belongs to a step that has ended`);
  }

  private checkReadable(op: string, field: string, tensor: Tensor): void {
    if (!isArena(tensor.storage)) return;
    this.checkCurrent(op, field, tensor.storage);
    if (!this.written[tensor.storage.slot])
      throw new OpError(op, `${field}, ${tensor}, is read before anything was written to it`);
  }
}

const isPlain = ({ layout, dtype }: Tensor): boolean =>
  layout === "rows" && (dtype === "f32" || dtype === "bf16");

/** A step that has been recorded: the same ops in the same places, run again with other numbers. */
export class Recording {
  private readonly device: Device;
  private readonly plan: Plan;
  private readonly prepared: PreparedPlan;

  constructor(device: Device, plan: Plan) {
    this.device = device;
    this.plan = plan;
    this.prepared = device.prepare(plan);
  }

  /** The bytes of the outputs; the next run may write over them. */
  async run(): Promise<readonly Uint8Array[]> {
    return outputsOf(this.device, this.plan, await this.prepared.run());
  }
}

function outputsOf(device: Device, plan: Plan, { outputs, nanoseconds }: RunResult): readonly Uint8Array[] {
  if (nanoseconds) printOps(device, plan.ops, nanoseconds);
  return outputs;
}
