/**
 * The device in C++: plans are encoded here and run by the add-on's own threads. Knows the add-on and the
 * encoding; nothing of what the ops compute.
 */
import { type Addon, type AddonEngine, type AddonPlan, addon } from "../base/addon.ts";
import { DeviceError } from "../base/errors.ts";
import type { FormatName } from "../format/index.ts";
import {
  type Device,
  type DeviceBuffer,
  isArena,
  type Plan,
  type PreparedPlan,
  placeOf,
  type RunResult,
  type Tensor,
  type Tuner,
} from "../ops/index.ts";
import { dtypeCodes, Encoder, opNamesOf } from "./encode.ts";
import { NativeTuner } from "./native/tuner.ts";

const NAME = "native";

/** Bytes of an output from which on kernels write it where it is wanted, rather than into the arena to be copied. */
const LARGE = 1 << 20;

/**
 * Milliseconds for which short plans may follow one another on the calling thread before timers and sockets get
 * their turn. A turn costs some 20 µs.
 */
const TURN = 4;

/** Whether the add-on is there; without it the native device cannot be opened. */
export const haveNative = (): boolean => addon() !== undefined;

export class NativeDevice implements Device {
  readonly name = NAME;
  readonly description: string;
  readonly panelLayout: string;
  readonly tuner: Tuner;
  private readonly library: Addon;
  private readonly encoder: Encoder;
  private handle: AddonEngine | undefined;
  /** Prepared plans that nobody can run any more, with their outputs' buffers. */
  private readonly unused = new FinalizationRegistry<ReadonlyMap<number, number>>((apart) =>
    this.letGo(apart),
  );
  /** The end of the last plan that was handed over; plans run in order. */
  private last: Promise<unknown> = Promise.resolve();
  /** When others shall get their turn on this thread. */
  private turnDue = 0;

  /** `threads`: by default one for each core that this process may use. `isa`: by default the best here. */
  constructor(threads?: number, isa = process.env.FOVEA_ISA ?? "") {
    const library = addon();
    if (!library)
      throw new DeviceError(NAME, "the add-on is not built; run npm run build (it needs a C++ compiler)");
    this.library = library;
    this.encoder = new Encoder(opNamesOf(NAME, library.ops()));
    const count = threads ?? library.availableCores();
    this.handle = refusing(() => library.createEngine(count, isa));
    this.panelLayout = library.panelLayout(this.handle);
    this.tuner = refusing(() => new NativeTuner(library, () => this.engine, count));
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
    const prepared = this.make(plan);
    try {
      return await prepared.run();
    } finally {
      this.unused.unregister(prepared);
      this.letGo(prepared.apart);
    }
  }

  prepare(plan: Plan): PreparedPlan {
    return this.make(plan);
  }

  private make(plan: Plan): Prepared & PreparedPlan {
    const { engine, library } = this;
    const outputs = plan.outputs.map((tensor) => new Uint8Array(tensor.bytes));
    const apart = new Map<number, number>();
    const copied: { readonly to: Uint8Array; readonly buffer: number; readonly offset: number }[] = [];
    for (const [i, tensor] of plan.outputs.entries()) {
      const { storage } = tensor;
      const to = outputs[i]!;
      if (isArena(storage) && isLarge(plan, tensor) && !apart.has(storage.slot))
        apart.set(
          storage.slot,
          refusing(() => library.adopt(engine, to)),
        );
      else {
        const own = isArena(storage) ? apart.get(storage.slot) : storage.id;
        copied.push({
          to,
          buffer: own ?? 0,
          offset: own === undefined ? placeOf(plan, tensor) : tensor.offset,
        });
      }
    }
    const nanoseconds = plan.profile ? new Float64Array(plan.ops.length) : undefined;
    const handle = refusing(() =>
      library.prepare(
        engine,
        this.encoder.encode(plan, apart),
        plan.arenaBytes,
        Float64Array.from(plan.uploads, ({ slot }) => plan.places[slot]!),
        plan.uploads.map(({ bytes }) => bytes),
        Float64Array.from(copied.flatMap(({ buffer, offset }) => [buffer, offset])),
        copied.map(({ to }) => to),
        nanoseconds,
      ),
    );
    // Keeps the arrays alive that the handle only points at.
    const prepared = {
      ...{ engine, plan, handle, apart },
      result: nanoseconds ? { outputs, nanoseconds } : { outputs },
      run: () => this.perform(prepared),
    };
    if (apart.size > 0) this.unused.register(prepared, apart, prepared);
    return prepared;
  }

  private letGo(apart: ReadonlyMap<number, number>): void {
    for (const id of apart.values()) if (this.handle) this.library.free(this.handle, id);
  }

  private async perform(prepared: Prepared): Promise<RunResult> {
    try {
      const done = this.library.run(this.engine, prepared.handle, prepared);
      if (done) {
        this.last = done;
        await done;
      } else if (performance.now() > this.turnDue) {
        await new Promise(setImmediate);
        this.turnDue = performance.now() + TURN;
      }
    } catch (error) {
      throw refusal(error);
    }
    return prepared.result;
  }

  memory(): { readonly buffers: number; readonly arena: number } {
    const [buffers, arena] = this.library.memory(this.engine);
    return { buffers, arena };
  }

  async close(): Promise<void> {
    const { handle } = this;
    this.handle = undefined;
    await this.last.catch(() => {});
    if (handle) this.library.closeEngine(handle);
  }
}

interface Prepared {
  readonly engine: AddonEngine;
  readonly plan: Plan;
  readonly handle: AddonPlan;
  /** Buffers of outputs that kernels write in place, by slot number. */
  readonly apart: ReadonlyMap<number, number>;
  readonly result: RunResult;
}

/** Whether an output is all of a slot that nothing is uploaded into, and large. */
const isLarge = ({ uploads }: Plan, { storage, offset, bytes }: Tensor): boolean =>
  isArena(storage) &&
  bytes >= LARGE &&
  offset === 0 &&
  bytes === storage.bytes &&
  uploads.every(({ slot }) => slot !== storage.slot);

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
