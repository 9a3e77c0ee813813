/**
 * The device in plain TypeScript: the oracle of every kernel test, and the definition of what an op means.
 * It runs a plan's ops one by one on the calling thread; what they compute is in `reference/kernels.ts`.
 */
import { DeviceError } from "../base/errors.ts";
import type { Device, DeviceBuffer, Op, Plan, PreparedPlan, RunResult } from "../ops/index.ts";
import { kernels } from "./reference/kernels.ts";
import { Memory } from "./reference/memory.ts";

export class ReferenceDevice implements Device {
  readonly name = "reference";
  readonly description = "plain TypeScript, f64 sums, 1 thread";
  private held: Memory | undefined;

  constructor(memory = new Memory("reference")) {
    this.held = memory;
  }

  private get open(): Memory {
    if (!this.held) throw new DeviceError(this.name, "the device is closed");
    return this.held;
  }

  allocate(bytes: number): DeviceBuffer {
    return this.open.allocate(bytes);
  }

  /** In place: the bytes are read where they lie, aligned or not. */
  adopt(bytes: Uint8Array): DeviceBuffer {
    return this.open.adopt(bytes);
  }

  free(buffer: DeviceBuffer): void {
    this.open.free(buffer);
  }

  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void {
    this.open.write(buffer, offset, bytes);
  }

  /** Weights are used as the rows they are, whatever their format. */
  panelBytes(): undefined {}

  readonly panelLayout: string | undefined = undefined;

  /** Runs at once, so plans are in order and what is freed or written later comes later. */
  async run(plan: Plan): Promise<RunResult> {
    const memory = this.open;
    memory.begin(plan);
    const nanoseconds = new Float64Array(plan.profile ? plan.ops.length : 0);
    plan.ops.forEach((op, i) => {
      const start = performance.now();
      runOp(op, memory);
      if (plan.profile) nanoseconds[i] = 1e6 * (performance.now() - start);
    });
    const outputs = plan.outputs.map((tensor) => memory.output(tensor));
    return plan.profile ? { outputs, nanoseconds } : { outputs };
  }

  prepare(plan: Plan): PreparedPlan {
    return { run: () => this.run(plan) };
  }

  memory(): { readonly buffers: number; readonly arena: number } {
    return this.open.sizes();
  }

  async close(): Promise<void> {
    this.held = undefined;
  }
}

function runOp<K extends Op["kind"]>(op: Extract<Op, { kind: K }>, memory: Memory): void {
  kernels[op.kind as K](op, memory);
}
