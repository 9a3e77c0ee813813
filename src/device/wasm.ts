/** The same kernels as WebAssembly. */
import { DeviceError } from "../base/errors.ts";
import type { Device } from "../ops/index.ts";

export class WasmDevice {
  static async open(_threads?: number): Promise<Device> {
    throw new DeviceError("wasm", "not built");
  }
}
