/// <reference lib="dom" />
/** The WebAssembly module's exports with their types, and views of its memory. See kernels/wasm.cpp. */
import { DeviceError } from "../../base/errors.ts";

interface Exports {
  readonly __heap_base: WebAssembly.Global<"i32">;
  readonly __stack_pointer: WebAssembly.Global<"i32">;
  ops(): number;
  /** 0 when the instructions compute here what the kernels assume; else which do not, in bits. */
  check(): number;
  panelLayout(): number;
  panelBytes(dtype: number, m: number, k: number): number;
  setThreads(threads: number, patience: number): void;
  prepare(words: number, count: number, buffers: number, nanoseconds: number): number;
  submit(scratch: number): void;
  runHere(scratch: number): void;
}

export interface Module extends Omit<Exports, "ops" | "panelLayout" | "__heap_base" | "__stack_pointer"> {
  readonly memory: WebAssembly.Memory;
  readonly mostPages: number;
  /** Where memory begins that the module itself does not use. */
  readonly heapBase: number;
  opList(): string;
  panelLayout(): string;
  /** Views; they end where the memory ends now, so take them anew after it may have grown. */
  bytes(address: number, length: number): Uint8Array;
  doubles(address: number, length: number): Float64Array;
  pointers(address: number, length: number): Uint32Array;
}

/** The largest memory that can be had here, up to 4 GiB: some places grant less address space. */
export function newMemory(shared: boolean): { memory: WebAssembly.Memory; mostPages: number } {
  for (const mostPages of [65536, 32768, 16384, 8192])
    try {
      return { memory: new WebAssembly.Memory({ initial: 64, maximum: mostPages, shared }), mostPages };
    } catch {
      // Refused for its size: the next smaller one may be granted.
    }
  throw new DeviceError("wasm", "there is no address space for a memory of 512 MiB");
}

export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  mostPages: number,
): Module {
  const now = (): number => performance.now() * 1e6;
  const { exports } = new WebAssembly.Instance(module, { env: { memory, now } });
  const e = exports as unknown as Exports;
  const text = (start: number): string => {
    const bytes = new Uint8Array(memory.buffer);
    // A copy: text decoders refuse shared memory.
    return new TextDecoder().decode(bytes.slice(start, bytes.indexOf(0, start)));
  };
  return {
    memory,
    mostPages,
    heapBase: e.__heap_base.value,
    opList: () => text(e.ops()),
    panelLayout: () => text(e.panelLayout()),
    bytes: (address, length) => new Uint8Array(memory.buffer, address, length),
    doubles: (address, length) => new Float64Array(memory.buffer, address, length),
    pointers: (address, length) => new Uint32Array(memory.buffer, address, length),
    check: e.check,
    panelBytes: e.panelBytes,
    setThreads: e.setThreads,
    prepare: e.prepare,
    submit: e.submit,
    runHere: e.runHere,
  };
}

/** The same module over a memory that is not shared. */
export function unshared(binary: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  // The import of env.memory: both names with their lengths, 2 for a memory, 3 for shared with a maximum.
  const entry = new TextEncoder().encode("\x03env\x06memory\x02\x03");
  const at = binary.findIndex((_, i) => entry.every((byte, j) => binary[i + j] === byte));
  if (at < 0) throw new DeviceError("wasm", "the kernels import no shared memory");
  const copy = binary.slice();
  copy[at + entry.length - 1] = 1;
  return copy;
}
