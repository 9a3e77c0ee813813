/** The devices under test, and how a test gives one of them work. */
import { afterAll, beforeAll } from "vitest";
import { addon } from "../../src/base/addon.ts";
import { DeviceError } from "../../src/base/errors.ts";
import { openDevice } from "../../src/device/index.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import type { FormatName } from "../../src/format/index.ts";
import {
  type Device,
  type DeviceBuffer,
  type DType,
  Stream,
  type StreamOptions,
  Tensor,
  tensorBytes,
} from "../../src/ops/index.ts";

export interface Subject {
  readonly name: string;
  /** What its description has to contain. */
  readonly says: string;
  open(threads: number): Promise<Device>;
}

/** Opens the native device with the given instruction set. */
async function openFor(isa: string, threads: number): Promise<Device> {
  const before = process.env.FOVEA_ISA;
  process.env.FOVEA_ISA = isa;
  try {
    return await openDevice("native", { threads });
  } finally {
    if (before === undefined) delete process.env.FOVEA_ISA;
    else process.env.FOVEA_ISA = before;
  }
}

/** Devices that can be opened anywhere; another is one more line. */
const everywhere: readonly Subject[] = [
  { name: "reference", says: "", open: (threads) => openDevice("reference", { threads }) },
  { name: "wasm", says: "SIMD-128", open: (threads) => openDevice("wasm", { threads, isa: "wasm" }) },
];

/** Where the engine that runs the tests has the instructions. */
const relaxed: Subject = {
  name: "wasm relaxed",
  says: "relaxed SIMD",
  open: (threads) => openDevice("wasm", { threads, isa: "wasm_relaxed" }),
};

/** The native device for every instruction set that this machine can run. */
const native: readonly Subject[] = (addon()?.isas().split(" ") ?? []).map((isa) => ({
  name: `native ${isa}`,
  says: isa,
  open: (threads) => openFor(isa, threads),
}));
if (native.length === 0) console.warn("not tested: native (the add-on is not built)");

/** Whether a device can be opened here; one that cannot is left out, with its reason told. */
async function available({ name, open }: Subject): Promise<boolean> {
  try {
    await (await open(1)).close();
    return true;
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    console.warn(`not tested: ${name} (${error.message})`);
    return false;
  }
}

/** The devices of this machine. */
export const subjects: readonly Subject[] = [
  ...everywhere,
  ...((await available(relaxed)) ? [relaxed] : []),
  ...native,
];

/** Opens a subject's device for the tests of a `describe`, and closes it after them. */
export function useDevice({ open }: Subject, threads = 2): { readonly device: Device } {
  let device: Device | undefined;
  beforeAll(async () => {
    device = await open(threads);
  });
  afterAll(() => device?.close());
  return {
    get device() {
      if (!device) throw new Error("the device is open only while tests run");
      return device;
    },
  };
}

/** The layouts in which a device takes the weights of a format. */
export const layoutsOf = (
  device: Device,
  format: FormatName,
  shape: readonly number[],
): ("rows" | "panels")[] => (device.panelBytes(format, shape) === undefined ? ["rows"] : ["rows", "panels"]);

/** One step on a device, with persistent buffers that end with it. */
export class Job {
  readonly stream: Stream;
  private readonly device: Device;
  private readonly buffers: DeviceBuffer[] = [];

  constructor(device: Device, options: StreamOptions = {}) {
    this.device = device;
    this.stream = new Stream(device, options);
  }

  f32(data: Float32Array, ...shape: number[]): Tensor {
    return this.stream.constant(data, shape);
  }

  i32(data: readonly number[], ...shape: number[]): Tensor {
    return this.stream.constant(Int32Array.from(data), shape);
  }

  /** A weight over the host's bytes, packed when panels are asked for. */
  weight(format: FormatName, shape: readonly number[], bytes: Uint8Array, layout = "rows"): Tensor {
    const rows = new Tensor(format, shape, this.keep(this.device.adopt(bytes)));
    if (layout === "rows") return rows;
    const buffer = this.keep(this.device.allocate(this.device.panelBytes(format, shape)!));
    const panels = new Tensor(format, shape, buffer, { layout: "panels" });
    this.stream.push({ kind: "pack", x: rows, y: panels });
    return panels;
  }

  /** Persistent, zeroed memory. */
  buffer(dtype: DType, shape: readonly number[]): Tensor {
    return new Tensor(dtype, shape, this.keep(this.device.allocate(tensorBytes(dtype, shape))));
  }

  async bytes(...outputs: Tensor[]): Promise<readonly Uint8Array[]> {
    try {
      return await this.stream.flush(outputs);
    } finally {
      for (const buffer of this.buffers) this.device.free(buffer);
      this.buffers.length = 0;
    }
  }

  /** Runs the step; the numbers of f32 tensors. */
  async run(...outputs: Tensor[]): Promise<Float32Array[]> {
    return (await this.bytes(...outputs)).map((bytes) => new Float32Array(bytes.slice().buffer));
  }

  private keep(buffer: DeviceBuffer): DeviceBuffer {
    this.buffers.push(buffer);
    return buffer;
  }
}

const oracle = new ReferenceDevice();

/** What a step gives on a device, and on the reference. */
export async function both(
  device: Device,
  build: (job: Job) => Tensor[],
): Promise<{ actual: Float32Array[]; wanted: Float32Array[] }> {
  const run = (on: Device): Promise<Float32Array[]> => {
    const job = new Job(on);
    return job.run(...build(job));
  };
  return { actual: await run(device), wanted: await run(oracle) };
}
