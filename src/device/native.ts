/**
 * The device in C++: plans are encoded here and run by the add-on's own threads. Knows the add-on and the
 * encoding; nothing of what the ops compute.
 */
import { type Addon, type AddonEngine, addon } from "../base/addon.ts";
import { DeviceError } from "../base/errors.ts";
import type { FormatName } from "../format/index.ts";
import {
  type Device,
  type DeviceBuffer,
  isArena,
  type Plan,
  placeOf,
  type RunResult,
  type Tensor,
} from "../ops/index.ts";
import { dtypeCodes, Encoder, opNamesOf } from "./encode.ts";

const NAME = "native";

/** Whether the add-on is there; without it the native device cannot be opened. */
export const haveNative = (): boolean => addon() !== undefined;

export class NativeDevice implements Device {
  readonly name = NAME;
  readonly description: string;
  readonly panelLayout: string;
  private readonly library: Addon;
  private readonly encoder: Encoder;
  private handle: AddonEngine | undefined;
  /** The end of the last plan; plans run in order. */
  private last: Promise<unknown> = Promise.resolve();

  /** `threads`: by default one for each core that this process may use. */
  constructor(threads?: number) {
    const library = addon();
    if (!library)
      throw new DeviceError(NAME, "the add-on is not built; run npm run build (it needs a C++ compiler)");
    this.library = library;
    this.encoder = new Encoder(opNamesOf(NAME, library.ops()));
    const count = threads ?? library.availableCores();
    this.handle = refusing(() => library.createEngine(count, process.env.FOVEA_ISA ?? ""));
    this.panelLayout = library.panelLayout(this.handle);
    this.description = `${library.engineIsa(this.handle)}, ${count} ${count === 1 ? "thread" : "threads"}`;
  }

  private get engine(): AddonEngine {
    if (!this.handle) throw new DeviceError(NAME, "the device is closed");
    return this.handle;
  }

  allocate(bytes: number): DeviceBuffer {
    return { id: refusing(() => this.library.allocate(this.engine, bytes)), bytes };
  }

  /** In place: the bytes are kept from collection until the buffer is freed. */
  adopt(bytes: Uint8Array): DeviceBuffer {
    return { id: refusing(() => this.library.adopt(this.engine, bytes)), bytes: bytes.length };
  }

  free(buffer: DeviceBuffer): void {
    refusing(() => this.library.free(this.engine, buffer.id));
  }

  /** Own memory lies in huge pages, mapped files do not. */
  replace(buffer: DeviceBuffer, by: DeviceBuffer): void {
    refusing(() => this.library.replace(this.engine, buffer.id, by.id));
  }

  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void {
    refusing(() => this.library.write(this.engine, buffer.id, offset, bytes));
  }

  panelBytes(format: FormatName, shape: readonly number[]): number | undefined {
    const [m = 0, k = 0] = shape.slice(-2);
    const count = shape.length === 3 ? shape[0]! : 1;
    return count * this.library.panelBytes(this.engine, dtypeCodes[format]!, m, k) || undefined;
  }

  async run(plan: Plan): Promise<RunResult> {
    const { engine, library } = this;
    const outputs = plan.outputs.map((tensor) => new Uint8Array(tensor.bytes));
    const nanoseconds = plan.profile ? new Float64Array(plan.ops.length) : undefined;
    const done = refusing(() =>
      library.run(
        engine,
        this.encoder.encode(plan),
        plan.arenaBytes,
        Float64Array.from(plan.uploads, ({ slot }) => plan.places[slot]!),
        plan.uploads.map(({ bytes }) => bytes),
        Float64Array.from(plan.outputs.flatMap((tensor) => [bufferOf(tensor), placeOf(plan, tensor)])),
        outputs,
        nanoseconds,
      ),
    );
    this.last = done.catch(() => {});
    try {
      await done;
    } catch (error) {
      throw refusal(error);
    }
    return nanoseconds ? { outputs, nanoseconds } : { outputs };
  }

  memory(): { readonly buffers: number; readonly arena: number } {
    const [buffers, arena] = this.library.memory(this.engine);
    return { buffers, arena };
  }

  async close(): Promise<void> {
    const { handle } = this;
    this.handle = undefined;
    await this.last;
    if (handle) this.library.closeEngine(handle);
  }
}

const bufferOf = ({ storage }: Tensor): number => (isArena(storage) ? 0 : storage.id);

const refusal = (error: unknown): DeviceError =>
  error instanceof DeviceError
    ? error
    : new DeviceError(NAME, error instanceof Error ? error.message : String(error), error);

/** What the add-on throws, as an error of ours. */
function refusing<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw refusal(error);
  }
}
