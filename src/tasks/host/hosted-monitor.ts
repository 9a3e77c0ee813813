/** Looks into the engine of a host, through its messages. A host that is started again is looked into as before. */
import { FoveaError } from "../../base/errors.ts";
import type { EngineFrame, EngineSnapshot, Monitor } from "../../engine/report.ts";

/** Milliseconds that a host may take to tell how its engine stands. */
const PATIENCE = 5000;

export interface EngineHost {
  /** Whether it has opened the model. */
  ready(): boolean;
  snapshot(): Promise<EngineSnapshot>;
  /** Whether frames are wanted. */
  watch(on: boolean): void;
}

export class HostedMonitor implements Monitor {
  private readonly host: EngineHost;
  private readonly listeners = new Set<(frame: EngineFrame) => void>();

  constructor(host: EngineHost) {
    this.host = host;
  }

  async snapshot(): Promise<EngineSnapshot> {
    if (!this.host.ready()) throw new FoveaError("the model's process is starting");
    let late: ReturnType<typeof setTimeout> | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const error = new FoveaError(`the model's process did not tell of its engine within ${PATIENCE} ms`);
      late = setTimeout(() => reject(error), PATIENCE);
    });
    try {
      return await Promise.race([this.host.snapshot(), tooLate]);
    } finally {
      clearTimeout(late);
    }
  }

  watch(listener: (frame: EngineFrame) => void): () => void {
    const own = (frame: EngineFrame): void => listener(frame);
    this.listeners.add(own);
    // Said again for each that comes: so the next frame has the map that the newcomer lacks.
    this.host.watch(true);
    return () => {
      if (this.listeners.delete(own) && this.listeners.size === 0) this.host.watch(false);
    };
  }

  tell(frame: EngineFrame): void {
    for (const listener of this.listeners) listener(frame);
  }

  /** Another host has opened the model. */
  reopened(): void {
    if (this.listeners.size > 0) this.host.watch(true);
  }

  stop(): void {
    this.listeners.clear();
  }
}
