/**
 * The engine's figures in the form that Prometheus reads, those among them that inference gateways balance load by.
 * They are asked for when they are read; while there is no engine to ask, they are absent.
 */
import { Counter, Gauge, type Registry } from "prom-client";
import type { EngineSnapshot, EngineStats, Monitor } from "../engine/report.ts";

/** Counts of the engine since it was started: a crash begins them anew, as Prometheus expects of counters. */
const COUNTERS: readonly (readonly [name: string, help: string, value: (stats: EngineStats) => number])[] = [
  ["fovea_engine_steps_total", "Steps of the engine.", ({ steps }) => steps],
  ["fovea_engine_step_seconds_total", "Time in steps.", ({ stepMs }) => stepMs / 1000],
  ["fovea_engine_preemptions_total", "Sequences that had to give way.", ({ preemptions }) => preemptions],
  [
    "fovea_engine_prefill_tokens_total",
    "Tokens of prompts, and of preempted texts, that were computed.",
    ({ prefillTokens }) => prefillTokens,
  ],
  [
    "fovea_prefix_cache_queries_total",
    "Tokens of prompts that were looked for in the cache.",
    ({ promptTokens }) => promptTokens,
  ],
  [
    "fovea_prefix_cache_hits_total",
    "Tokens of prompts that were found in the cache.",
    ({ cachedTokens }) => cachedTokens,
  ],
];

/** Asks, and sets all; undefined when there was no answer. */
export function engineMetrics(
  registry: Registry,
  monitor: Monitor,
): () => Promise<EngineSnapshot | undefined> {
  const registers = [registry];
  const counters = COUNTERS.map(
    ([name, help, value]) => [new Counter({ name, help, registers }), value] as const,
  );
  const usage = new Gauge({
    name: "fovea_cache_usage_ratio",
    help: "Share of the cache's blocks that sequences use, 0 to 1.",
    registers,
  });
  const blocks = new Gauge({
    name: "fovea_cache_blocks",
    help: "Blocks of the cache: used, those of them that several share, kept for nobody in particular, empty.",
    labelNames: ["state"],
    registers,
  });
  // The names of its labels are those that gateways look for.
  const info = new Gauge({
    name: "fovea_cache_config_info",
    help: "How the cache is laid out.",
    labelNames: ["block_size", "num_gpu_blocks"],
    registers,
  });
  return async () => {
    const seen = await monitor.snapshot().catch(() => undefined);
    for (const [counter] of counters) counter.remove();
    usage.remove();
    blocks.reset();
    info.reset();
    if (seen === undefined) return undefined;
    const { stats, limits } = seen;
    const { capacity, available, idle, shared } = stats.blocks;
    for (const [counter, value] of counters) counter.inc(value(stats));
    usage.set((capacity - available) / capacity);
    blocks.set({ state: "used" }, capacity - available);
    blocks.set({ state: "shared" }, shared);
    blocks.set({ state: "kept" }, idle);
    blocks.set({ state: "empty" }, available - idle);
    info.set({ block_size: limits.block, num_gpu_blocks: capacity }, 1);
    return seen;
  };
}
