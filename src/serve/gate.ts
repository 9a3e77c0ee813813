/**
 * How many requests are worked on at once, and that no new ones begin once the server is to stop.
 * Counts; must not know what the requests ask.
 */
import { ApiError } from "./errors.ts";

/** Seconds that a refused client is told to wait, at most. */
const longestWait = 60;

export class Gate {
  private readonly most: number;
  private inside = 0;
  /** Milliseconds that a request takes, averaged over the last few. */
  private mean = 1000;
  private draining = false;
  private readonly emptied: (() => void)[] = [];

  /** @param most requests that run or wait at once; one more is refused */
  constructor(most: number) {
    this.most = most;
  }

  get open(): boolean {
    return !this.draining;
  }

  /** Refuses all requests from now on, and waits for those inside. */
  async drain(): Promise<void> {
    this.draining = true;
    if (this.inside > 0) await new Promise<void>((resolve) => this.emptied.push(resolve));
  }

  /** Lets a request in; the function it gives is to be called, once or more often, when it has ended. */
  enter(): () => void {
    if (this.draining) throw stopping();
    if (this.inside >= this.most)
      throw new ApiError(429, `${this.inside} requests run or wait already; try again later`, {
        code: "too_many_requests",
        retryAfter: Math.min(longestWait, Math.max(1, Math.ceil(this.mean / 1000))),
      });
    this.inside++;
    const started = performance.now();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.inside--;
      this.mean += (performance.now() - started - this.mean) / 8;
      if (this.inside === 0) for (const resolve of this.emptied.splice(0)) resolve();
    };
  }
}

/** What a request is told that comes, or still runs, when the server stops. */
export const stopping = (): ApiError =>
  new ApiError(503, "the server is stopping", { code: "stopping", retryAfter: 1 });
