/**
 * Finds and loads the native add-on, once. Knows its file and the shape of its exports; what the functions are
 * for is known by their callers. Without the add-on everything still works, slower.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export interface Addon {
  /** Maps `length` bytes of a file from `offset` (of any alignment), read-only; unmapped when collected. */
  mapFile(path: string, offset: number, length: number): ArrayBuffer;
  /** Tells the system that the pages of this part of a mapped buffer are not needed for now. */
  dropPages(buffer: ArrayBuffer, byteOffset: number, length: number): void;

  /** Threads and memory; `isa` is the name of an instruction set, or empty for the best. */
  createEngine(threads: number, isa: string): AddonEngine;
  /** Ends the threads and frees all memory; what was submitted and has not run never will. */
  closeEngine(engine: AddonEngine): void;
  engineIsa(engine: AddonEngine): string;
  /** Buffers are numbers from 1. */
  allocate(engine: AddonEngine, bytes: number): number;
  adopt(engine: AddonEngine, bytes: Uint8Array): number;
  free(engine: AddonEngine, buffer: number): void;
  /** Gives an adopted buffer the memory of an allocated one of the same size, whose number ends. */
  replace(engine: AddonEngine, buffer: number, by: number): void;
  write(engine: AddonEngine, buffer: number, offset: number, bytes: Uint8Array): void;
  /**
   * Makes a plan of encoded ops. `words` and the places are copied; the other arrays are read and filled where
   * they lie by each run, and the caller keeps them alive. `uploadPlaces` holds an arena offset for each upload;
   * `outputPlaces` a buffer (0: the arena) and an offset for each output.
   */
  prepare(
    engine: AddonEngine,
    words: Float64Array,
    arenaBytes: number,
    uploadPlaces: Float64Array,
    uploads: readonly Uint8Array[],
    outputPlaces: Float64Array,
    outputs: readonly Uint8Array[],
    nanoseconds: Float64Array | undefined,
  ): AddonPlan;
  /**
   * Runs a plan, with its uploads as they are now. Undefined when it was so short that it has run at once, on the
   * calling thread; else a promise, and `kept` is kept alive until it is settled.
   */
  run(engine: AddonEngine, plan: AddonPlan, kept: object): Promise<void> | undefined;
  /**
   * Makes these the choices for products (`kernels/tuning.h`): for each dtype code, m, k, experts, gated, rows,
   * threads, then ahead, panels, step, tiles. Only while nothing runs, as the two below.
   */
  tune(engine: AddonEngine, numbers: Float64Array): void;
  /** Notes the times of up to `room` products from now on, 0: of none. */
  note(engine: AddonEngine, room: number): void;
  /** Takes what was noted: for each product seven numbers as above, and nanoseconds. */
  noted(engine: AddonEngine): Float64Array;
  /** Bytes of allocated buffers, and of the arena. */
  memory(engine: AddonEngine): readonly [number, number];
  /** Bytes of an [m, k] matrix in panels, 0 when the format is used as rows. */
  panelBytes(engine: AddonEngine, dtypeCode: number, m: number, k: number): number;
  /** The name of how bytes lie in panels. */
  panelLayout(engine: AddonEngine): string;

  /** Physical cores that this process may use. */
  availableCores(): number;
  /** Names of the instruction sets that this machine supports, best first, with spaces between. */
  isas(): string;
  /** The kinds of op in the order of their opcodes: "activation 2 1,add 3 0,...". */
  ops(): string;
}

/** An engine, as the add-on hands it out. */
export interface AddonEngine {
  readonly __engine: unique symbol;
}

/** A plan, as the add-on hands it out. */
export interface AddonPlan {
  readonly __plan: unique symbol;
}

/** Names the sources and the compiler of the add-on; empty when that is not known. */
export function addonBuild(): string {
  const stamp = fileURLToPath(new URL("../../build/fovea.node.json", import.meta.url));
  if (!existsSync(stamp)) return "";
  return (JSON.parse(readFileSync(stamp, "utf8")) as { hash?: string }).hash ?? "";
}

let loaded: { addon: Addon | undefined } | undefined;

/** The add-on, or undefined when it was not built, was built for another system, or FOVEA_NO_ADDON=1 is set. */
export function addon(): Addon | undefined {
  if (process.env.FOVEA_NO_ADDON === "1") return undefined;
  loaded ??= { addon: load() };
  return loaded.addon;
}

function load(): Addon | undefined {
  // Two folders up from src/base and from dist/base alike.
  const path = fileURLToPath(new URL("../../build/fovea.node", import.meta.url));
  if (!existsSync(path)) return undefined;
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    process.emitWarning(
      `the native add-on cannot be loaded, so Fovea runs slower: ${(error as Error).message}; build it anew with "npm run build"`,
    );
    return undefined;
  }
}
