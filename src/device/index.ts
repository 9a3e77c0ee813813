/** The devices by name. Each is loaded when it is asked for, so that a page never sees what only Node has. */
import { ParameterError } from "../base/errors.ts";
import type { Device } from "../ops/index.ts";

export const deviceNames = ["auto", "native", "wasm", "reference"] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface DeviceOptions {
  /** By default one for each core that this process may use. */
  readonly threads?: number;
  /** The instruction set, by default what FOVEA_ISA says in Node, else the best that works here. */
  readonly isa?: string;
}

/** More than any machine has use for; beyond it a number is a mistake. */
const MOST_THREADS = 512;

/**
 * Opens a device. `auto` is the native one where its add-on is built, else WebAssembly.
 *
 * Throws a `ParameterError` for a name or a number of threads that cannot be, and a `DeviceError` when the
 * device cannot be opened here.
 */
export async function openDevice(name: string, { threads, isa }: DeviceOptions = {}): Promise<Device> {
  if (!deviceNames.some((known) => known === name))
    throw new ParameterError("device", `"${name}" is none of ${deviceNames.join(", ")}`);
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS))
    throw new ParameterError("threads", `${threads} is not a whole number from 1 to ${MOST_THREADS}`);
  switch (name as DeviceName) {
    case "reference":
      if (isa !== undefined) throw new ParameterError("isa", "the reference device has no instruction sets");
      return new (await import("./reference.ts")).ReferenceDevice();
    case "native":
      return new (await import("./native.ts")).NativeDevice(threads, isa);
    case "wasm":
      return (await import("./wasm.ts")).WasmDevice.open({ threads, isa });
    case "auto": {
      const native = typeof process === "undefined" ? undefined : await import("./native.ts");
      if (native?.haveNative()) return new native.NativeDevice(threads, isa);
      return (await import("./wasm.ts")).WasmDevice.open({ threads, isa });
    }
  }
}
