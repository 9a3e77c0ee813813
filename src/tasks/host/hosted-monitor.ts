/** Looks into the engine of a host, through its messages. A host that is started again is looked into as before. */
import { FoveaError } from "../../base/errors.ts";
import type { EngineFrame, EngineSnapshot, Monitor } from "../../engine/report.ts";

/** Milliseconds that a host may take to tell how its engine stands. */
const PATIENCE = 3000;

export interface EngineHost {
  /** Whether it has opened the model. */
  ready(): boolean;
  snapshot(signal: AbortSignal): Promise<EngineSnapshot>;
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
    const tooLate = new AbortController();
    const late = setTimeout(
      () =>
        tooLate.abort(new FoveaError(`the model's process did not tell of its engine within ${PATIENCE} ms`)),
      PATIENCE,
    );
    try {
      return await this.host.snapshot(tooLate.signal);
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
