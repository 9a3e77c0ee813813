/**
 * The boundary between the upper house and the devices. Only this crosses it: buffers by number, and plans
 * (ops as plain data with every tensor's place decided). It suits a GPU as it stands: nothing is read in the
 * middle of a plan, and what can be created once is created once.
 */
import type { FormatName } from "../format/index.ts";
import type { Plan } from "./plan.ts";
import type { DeviceBuffer } from "./tensor.ts";
import type { Tuner } from "./tuning.ts";

/** What a device did with a plan. */
export interface RunResult {
  /** The bytes of each of the plan's outputs, in order; the caller owns them. */
  readonly outputs: readonly Uint8Array[];
  /** Nanoseconds of each op, when the plan asked for them. */
  readonly nanoseconds?: Float64Array;
}

/** A plan that a device has made ready, to be run again and again. */
export interface PreparedPlan {
  /**
   * As `Device.run`, with the uploads' bytes as they are now. The outputs belong to the plan: the next run may
   * write over them.
   */
  run(): Promise<RunResult>;
}

export interface Device {
  readonly name: string;
  /** For people: instruction set, threads, adapter. */
  readonly description: string;

  /** Persistent memory, zeroed. Refuses with a `DeviceError` when there is not enough. */
  allocate(bytes: number): DeviceBuffer;

  /**
   * A read-only buffer over the host's bytes, in place where the device can (the bytes must then stay
   * unchanged until the buffer is freed), copied otherwise.
   */
  adopt(bytes: Uint8Array): DeviceBuffer;

  /** Takes effect once the plans that were submitted before have run. */
  free(buffer: DeviceBuffer): void;

  /**
   * Gives an adopted buffer the memory of an allocated one of the same size, whose number ends: for a device that
   * adopts in place but reads its own memory faster. Plans that were submitted before run with the host's bytes.
   */
  replace?(buffer: DeviceBuffer, by: DeviceBuffer): void;

  /** Copies bytes into a buffer, before any plan that is submitted later. */
  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void;

  /**
   * Bytes that a weight takes in this device's panels, or undefined when the device uses that format as
   * rows. `shape` is [m, k] or [e, m, k].
   */
  panelBytes(format: FormatName, shape: readonly number[]): number | undefined;

  /** Names how bytes lie in this device's panels: where the names are equal, so are the bytes. */
  readonly panelLayout: string | undefined;

  /**
   * Runs a plan, off the calling thread unless it is known to be short. Plans run one after another, in order of
   * submission.
   */
  run(plan: Plan): Promise<RunResult>;

  /** For a plan that will run more than once: what depends on its shapes alone is done once. */
  prepare(plan: Plan): PreparedPlan;

  /** Where the device lets products be tuned. */
  readonly tuner?: Tuner;

  /** Bytes held now: persistent buffers (without adopted ones that were not copied) and the arena. */
  memory(): { readonly buffers: number; readonly arena: number };

  /** Waits for running plans, then gives everything back. A closed device refuses all calls. */
  close(): Promise<void>;
}
