/** Opens devices by name. */
import { ParameterError } from "../base/errors.ts";
import type { Device } from "../ops/index.ts";

export const deviceNames = ["auto", "native", "wasm", "reference"] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface DeviceOptions {
  /** Default: the cores this process may use. */
  readonly threads?: number;
}

export async function openDevice(name: DeviceName, _options: DeviceOptions = {}): Promise<Device> {
  if (!deviceNames.includes(name))
    throw new ParameterError("device", `must be one of ${deviceNames.join(", ")}, not "${name}"`);
  const { ReferenceDevice } = await import("./reference.ts");
  return new ReferenceDevice();
}
