/**
 * The kernels as WebAssembly: worker threads walk a plan in lockstep over a shared memory, while the caller's
 * thread goes on. Without shared memory there is one thread, the caller's. Knows the module's exports and the
 * encoding of plans; nothing of what the ops compute.
 */
import { DeviceError } from "../base/errors.ts";
import type { FormatName } from "../format/index.ts";
import {
  type Device,
  type DeviceBuffer,
  eachTensor,
  isArena,
  type Plan,
  type PreparedPlan,
  placeOf,
  type RunResult,
  type Tensor,
} from "../ops/index.ts";
import { dtypeCodes, Encoder, opNamesOf } from "./encode.ts";
import type { Isa } from "./wasm/binaries.ts";
import { type Kernels, loadKernels } from "./wasm/choose.ts";
import { Heap, Region } from "./wasm/heap.ts";
import { type Host, type Thread, thisHost } from "./wasm/host.ts";
import type { Module } from "./wasm/module.ts";
import { startThreads } from "./wasm/threads.ts";

const NAME = "wasm";
/** Rounds of spinning before a thread sleeps: some 20 µs, as WebAssembly has no instruction to pause. */
const PATIENCE = 20_000;

const names: Readonly<Record<Isa, string>> = {
  wasm_relaxed: "WebAssembly relaxed SIMD",
  wasm: "WebAssembly SIMD-128",
};

interface Buffer {
  readonly address: number;
  readonly bytes: number;
  readonly adopted: boolean;
}

interface Running {
  finish(): void;
  fail(error: unknown): void;
}

export interface WasmOptions {
  readonly threads?: number | undefined;
  readonly isa?: string | undefined;
  readonly host?: Host | undefined;
}

export class WasmDevice implements Device {
  readonly name = NAME;
  readonly description: string;
  readonly panelLayout: string;
  private readonly module: Module;
  private readonly heap: Heap;
  private readonly encoder: Encoder;
  private readonly buffers = new Map<number, Buffer>();
  private nextId = 1;
  private bufferBytes = 0;
  private readonly arena: Region;
  private readonly words: Region;
  private readonly table: Region;
  private readonly times: Region;
  private readonly scratch: Region;

  private threads: Thread[] = [];
  /** What waits for the running plan: plans, writes and frees, in order. */
  private queue: (() => void)[] = [];
  private running: Running | undefined;
  /** Why the device refuses all calls: it is closed, or a thread has failed. */
  private ended: DeviceError | undefined;
  private failed: DeviceError | undefined;
  private wentIdle: (() => void) | undefined;
  private closing: Promise<void> | undefined;

  private constructor({ isa, module }: Kernels, threads: number, shared: boolean) {
    this.module = module;
    this.panelLayout = module.panelLayout();
    this.encoder = new Encoder(opNamesOf(NAME, module.opList()));
    this.heap = new Heap(module.memory, module.heapBase, module.mostPages);
    this.arena = new Region(this.heap);
    this.words = new Region(this.heap);
    this.table = new Region(this.heap);
    this.times = new Region(this.heap);
    this.scratch = new Region(this.heap);
    const count = `${threads} ${threads === 1 ? "thread" : "threads"}`;
    this.description = `${names[isa]}, ${shared ? count : "on the calling thread"}`;
  }

  /**
   * `threads`: by default one for each core; always the caller's alone where memory cannot be shared. `isa`:
   * the instruction set, by default the best that this place has.
   */
  static async open({ threads, isa, host: given }: WasmOptions = {}): Promise<WasmDevice> {
    const host = given ?? (await thisHost());
    const kernels = await loadKernels(host, isa);
    const count = host.shared ? (threads ?? host.cores) : 1;
    kernels.module.setThreads(count, count <= host.cores ? PATIENCE : 0);
    const device = new WasmDevice(kernels, count, host.shared);
    if (host.shared)
      device.threads = await startThreads(host, kernels, device.heap, count, {
        finished: () => device.finished(),
        failed: (problem) => device.fail(problem),
      });
    return device;
  }

  private check(): void {
    if (this.ended) throw this.ended;
  }

  allocate(bytes: number): DeviceBuffer {
    this.check();
    const address = this.heap.take(bytes);
    this.module.bytes(address, bytes).fill(0);
    return this.hold({ address, bytes, adopted: false });
  }

  /** Copied: the module sees its own memory only. */
  adopt(bytes: Uint8Array): DeviceBuffer {
    this.check();
    const address = this.heap.take(bytes.length);
    this.module.bytes(address, bytes.length).set(bytes);
    return this.hold({ address, bytes: bytes.length, adopted: true });
  }

  private hold(buffer: Buffer): DeviceBuffer {
    const id = this.nextId++;
    this.buffers.set(id, buffer);
    this.bufferBytes += buffer.bytes;
    return { id, bytes: buffer.bytes };
  }

  private find(id: number): Buffer {
    this.check();
    const buffer = this.buffers.get(id);
    if (!buffer) throw new DeviceError(NAME, `there is no buffer ${id}`);
    return buffer;
  }

  free({ id }: DeviceBuffer): void {
    const { address, bytes } = this.find(id);
    this.buffers.delete(id);
    this.bufferBytes -= bytes;
    this.inTurn(() => this.heap.release(address));
  }

  write({ id }: DeviceBuffer, offset: number, bytes: Uint8Array): void {
    const buffer = this.find(id);
    if (buffer.adopted) throw new DeviceError(NAME, "an adopted buffer is read-only");
    if (!(offset >= 0 && offset + bytes.length <= buffer.bytes))
      throw new DeviceError(
        NAME,
        `${bytes.length} bytes at ${offset} do not fit a buffer of ${buffer.bytes}`,
      );
    const copy = this.running ? bytes.slice() : bytes;
    this.inTurn(() => this.module.bytes(buffer.address + offset, copy.length).set(copy));
  }

  panelBytes(format: FormatName, shape: readonly number[]): number | undefined {
    this.check();
    const [m = 0, k = 0] = shape.slice(-2);
    const count = shape.length === 3 ? shape[0]! : 1;
    return count * this.module.panelBytes(dtypeCodes[format]!, m, k) || undefined;
  }

  async run(plan: Plan): Promise<RunResult> {
    this.check();
    // Numbers of buffers that are freed later mean what they mean now.
    const addresses = this.addresses(plan);
    const uploads = plan.uploads.map(({ slot, bytes }) => ({
      place: plan.places[slot]!,
      bytes: this.running ? bytes.slice() : bytes,
    }));
    return new Promise((resolve, reject) => {
      this.inTurn(() => {
        try {
          this.begin(plan, addresses, uploads, resolve, reject);
        } catch (error) {
          reject(error);
          this.next();
        }
      });
    });
  }

  prepare(plan: Plan): PreparedPlan {
    return { run: () => this.run(plan) };
  }

  /** The address of each buffer that the plan names, by its number. */
  private addresses(plan: Plan): Map<number, number> {
    const addresses = new Map<number, number>();
    const add = ({ storage }: Tensor): void => {
      if (!isArena(storage) && !addresses.has(storage.id))
        addresses.set(storage.id, this.find(storage.id).address);
    };
    for (const op of plan.ops) eachTensor(op, add);
    plan.outputs.forEach(add);
    return addresses;
  }

  private begin(
    plan: Plan,
    addresses: ReadonlyMap<number, number>,
    uploads: readonly { readonly place: number; readonly bytes: Uint8Array }[],
    resolve: (result: RunResult) => void,
    reject: (error: unknown) => void,
  ): void {
    if (this.failed) throw this.failed;
    const { module } = this;
    const words = this.encoder.encode(plan);
    this.arena.reserve(plan.arenaBytes);
    this.words.reserve(words.byteLength);
    this.table.reserve(4 * this.nextId);
    this.times.reserve(plan.profile ? 8 * plan.ops.length : 0);
    for (const { place, bytes } of uploads) module.bytes(this.arena.address + place, bytes.length).set(bytes);
    module.doubles(this.words.address, words.length).set(words);
    const table = module.pointers(this.table.address, this.nextId);
    table[0] = this.arena.address;
    for (const [id, address] of addresses) table[id] = address;
    const times = plan.profile ? this.times.address : 0;
    this.scratch.reserve(module.prepare(this.words.address, words.length, this.table.address, times));

    const at = (tensor: Tensor): number =>
      placeOf(plan, tensor) +
      (isArena(tensor.storage) ? this.arena.address : addresses.get(tensor.storage.id)!);
    this.running = {
      finish: () => {
        const outputs = plan.outputs.map((tensor) => module.bytes(at(tensor), tensor.bytes).slice());
        if (!plan.profile) return resolve({ outputs });
        resolve({ outputs, nanoseconds: module.doubles(this.times.address, plan.ops.length).slice() });
      },
      fail: reject,
    };
    if (this.threads.length > 0) {
      this.threads[0]!.hold(true);
      module.submit(this.scratch.address);
      return;
    }
    try {
      module.runHere(this.scratch.address);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.finished();
  }

  private inTurn(action: () => void): void {
    if (this.running) this.queue.push(action);
    else action();
  }

  /** Does what waits, up to the next plan that runs. */
  private next(): void {
    while (!this.running && this.queue.length > 0) this.queue.shift()!();
    if (!this.running) this.wentIdle?.();
  }

  private finished(): void {
    this.settle((running) => {
      try {
        running.finish();
      } catch (error) {
        // A result for which this thread has no memory.
        running.fail(error);
      }
    });
  }

  /** A thread has ended by an error, so nothing can run any more. */
  private fail(problem: unknown): DeviceError {
    const text = problem instanceof Error ? problem.message : String(problem);
    const failed = new DeviceError(NAME, `a thread failed: ${text}`, problem);
    this.failed ??= failed;
    this.ended ??= failed;
    this.settle((running) => running.fail(failed));
    return failed;
  }

  private settle(tell: (running: Running) => void): void {
    const { running } = this;
    this.running = undefined;
    this.threads[0]?.hold(false);
    if (running) tell(running);
    this.next();
  }

  memory(): { readonly buffers: number; readonly arena: number } {
    this.check();
    return { buffers: this.bufferBytes, arena: this.arena.bytes };
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    this.ended ??= new DeviceError(NAME, "the device is closed");
    if (this.running)
      await new Promise<void>((resolve) => {
        this.wentIdle = resolve;
      });
    for (const thread of this.threads) thread.terminate();
    this.threads = [];
    this.buffers.clear();
  }
}
