/** Counts and times in the form that Prometheus reads. Knows generations; must not know routes. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Monitor } from "../engine/report.ts";
import { engineMetrics } from "./engine-metrics.ts";
import type { Observer } from "./observe.ts";
import type { RequestReport } from "./requests.ts";

/** Seconds: from a small model's token to a long prompt on a slow machine. */
const FIRST_TOKEN = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const BETWEEN_TOKENS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** Tells of the engine too, and of those who run and wait as it sees them. */
  engine(monitor: Monitor): void;
  request(report: RequestReport): void;
  readonly observer: Observer;
}

/** @param ofProcess whether figures of the process are told too: memory, event loop, garbage collection */
export function createMetrics({ ofProcess = true } = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (ofProcess) {
    collectDefaultMetrics({ register: registry });
    loopDelay(registers);
  }
  const requests = new Counter({
    name: "fovea_http_requests_total",
    help: "Answered HTTP requests.",
    labelNames: ["method", "status"],
    registers,
  });
  const waiting = new Gauge({
    name: "fovea_requests_waiting",
    help: "Generations that wait for a place in the engine.",
    registers,
  });
  const running = new Gauge({
    name: "fovea_requests_running",
    help: "Generations that the engine works on.",
    registers,
  });
  const generations = new Counter({
    name: "fovea_generations_total",
    help: "Ended generations, by the reason.",
    labelNames: ["reason"],
    registers,
  });
  const promptTokens = new Counter({
    name: "fovea_prompt_tokens_total",
    help: "Tokens of the prompts of generations that came to their end.",
    registers,
  });
  const generatedTokens = new Counter({
    name: "fovea_generated_tokens_total",
    help: "Tokens that were generated.",
    registers,
  });
  const firstToken = new Histogram({
    name: "fovea_time_to_first_token_seconds",
    help: "From the start of a generation to its first token.",
    buckets: FIRST_TOKEN,
    registers,
  });
  const betweenTokens = new Histogram({
    name: "fovea_time_between_tokens_seconds",
    help: "From one token of a generation to the next.",
    buckets: BETWEEN_TOKENS,
    registers,
  });
  let look: ReturnType<typeof engineMetrics> | undefined;
  /** Generations under way, and those of them that have a token. */
  const now = { all: 0, begun: 0 };
  return {
    contentType: registry.contentType,
    async text() {
      const seen = await look?.();
      // While an engine is being started all wait for it; of a model without one only tokens are seen.
      const begun = look ? 0 : now.begun;
      running.set(seen?.stats.running ?? begun);
      waiting.set(seen?.stats.waiting ?? now.all - begun);
      return registry.metrics();
    },
    engine(monitor) {
      look = engineMetrics(registry, monitor);
    },
    request: ({ method, status }) => requests.inc({ method, status }),
    observer() {
      let last = performance.now();
      let begun = false;
      now.all++;
      return {
        token() {
          const time = performance.now();
          (begun ? betweenTokens : firstToken).observe((time - last) / 1000);
          last = time;
          generatedTokens.inc();
          if (begun) return;
          begun = true;
          now.begun++;
        },
        end(outcome) {
          now.all--;
          if (begun) now.begun--;
          const reason =
            outcome === undefined ? "abort" : outcome instanceof Error ? "error" : outcome.finishReason;
          generations.inc({ reason });
          if (outcome !== undefined && !(outcome instanceof Error)) promptTokens.inc(outcome.promptTokens);
        },
      };
    },
  };
}

/**
 * How late the event loop is, that is how long one request keeps the others waiting, since it was told last. The
 * default metrics have the interval of their timer in it.
 */
function loopDelay(registers: Registry[]): void {
  const resolution = 10;
  const delays = monitorEventLoopDelay({ resolution });
  delays.enable();
  const seconds = (nanoseconds: number): number =>
    delays.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - resolution / 1000);
  new Gauge({
    name: "fovea_event_loop_delay_seconds",
    help: "Delay of the event loop since the last time this was read.",
    labelNames: ["quantile"],
    registers,
    collect() {
      for (const quantile of [0.5, 0.99]) this.set({ quantile }, seconds(delays.percentile(quantile * 100)));
      this.set({ quantile: 1 }, seconds(delays.max));
      delays.reset();
    },
  });
}
