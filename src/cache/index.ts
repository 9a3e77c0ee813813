/** Caches of keys and values, and the batches that fill them. */
export { type BatchPart, makeBatch, refill, type SequenceId, type TokenBatch } from "./batch.ts";
export { DenseCache, type DenseCacheOptions } from "./dense.ts";
export type { AttentionOptions, CacheStep, KvCache, LayerShape, Prefix } from "./kv-cache.ts";
