/** When the requests of a load test begin: as soon as a client is free, or at random times. */

export interface Arrival {
  /** Number of the request, from 0. */
  readonly index: number;
  /** When it is due, on the clock of `performance.now()`: its latency counts from then. */
  readonly due: number;
}

/**
 * Closed loop: each client sends its next request when it has the answer to the one before.
 *
 * @param until no request begins after this time
 */
export async function closedLoop(
  clients: number,
  requests: number,
  until: number,
  send: (arrival: Arrival) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < requests && performance.now() < until && !signal.aborted)
      await send({ index: next++, due: performance.now() });
  };
  await Promise.all(Array.from({ length: Math.min(clients, requests) }, client));
}

/**
 * Open loop: requests arrive as a Poisson process, whether or not earlier ones are answered. A request that this
 * process begins late counts from when it was due, so that a stalled server cannot hide what it kept waiting.
 *
 * @param rate requests per second
 * @param random of each request, uniform in (0, 1]
 */
export async function poisson(
  rate: number,
  requests: number,
  until: number,
  random: (index: number) => number,
  send: (arrival: Arrival) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const running: Promise<void>[] = [];
  let due = performance.now();
  for (let index = 0; index < requests; index++) {
    due += (-Math.log(random(index)) * 1000) / rate;
    if (due >= until || signal.aborted) break;
    await sleep(due - performance.now(), signal);
    running.push(send({ index, due }));
  }
  await Promise.all(running);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}
