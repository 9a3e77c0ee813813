/**
 * Exactness in a crowd: a request's tokens and log-probabilities are the same bits alone, in any batch, with any
 * chunking, after a hit in the cache, a fork or a preemption, and with or without shared attention. Random worlds of
 * requests and engines, compared with each request by itself.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Fields } from "../../src/checkpoint/config.ts";
import type { TokenMask } from "../../src/decode/mask.ts";
import { type Choice, type SamplingOptions, samplingFrom } from "../../src/decode/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { EngineOptions } from "../../src/engine/options.ts";
import { type LoadedModel, loadModel } from "../../src/models/index.ts";
import type { Device } from "../../src/ops/index.ts";
import { subjects } from "../support/devices.ts";
import { formulaCheckpoint, readFixture } from "../support/formula.ts";
import { load } from "../support/models.ts";
import { Random } from "../support/random.ts";
import { haveShared, shared } from "../support/shared.ts";

interface Asked {
  readonly prompt: readonly number[];
  readonly sampling: SamplingOptions;
  readonly maxTokens: number;
  /** Whether a grammar says which tokens may come. */
  readonly masked: boolean;
  readonly priority: number;
  /** Milliseconds before it comes. */
  readonly delay: number;
  /** Tokens after which its reader leaves; absent: never. */
  readonly leaves: number | undefined;
}

const samplings: readonly SamplingOptions[] = [
  { temperature: 0, logprobs: 2 },
  { temperature: 0.9, topK: 40, seed: 5, logprobs: 0 },
  { temperature: 1.3, topP: 0.9, repetitionPenalty: 1.2, seed: -3, logprobs: 5 },
  { temperature: 0.7, minP: 0.05, presencePenalty: 0.4, logitBias: { 7: 2 }, seed: 9, logprobs: 1 },
  { temperature: 0.8, frequencyPenalty: 0.2, seed: 2 },
];

/** Tokens whose remainder by 5 is not that of the last one's successor; ends after a token that 31 divides. */
class Stepping implements TokenMask {
  private readonly words: Uint32Array;
  private readonly size: number;
  private banned = 0;
  finished = false;

  constructor(size: number) {
    this.size = size;
    this.words = new Uint32Array(Math.ceil(size / 32));
  }

  allowed(): Uint32Array {
    this.words.fill(0);
    for (let id = 0; id < this.size; id++) if (id % 5 !== this.banned) this.words[id >> 5]! |= 1 << (id & 31);
    return this.words;
  }

  accept(token: number): void {
    this.banned = (token + 1) % 5;
    this.finished = token % 31 === 0;
  }
}

/** Tokens that a request draws at most. */
const MOST = 40;

/** Prompts of which many begin alike, and some are equal. */
function crowd(random: Random, count: number, longest: number, vocabulary: number): Asked[] {
  const tokens = (n: number): number[] => Array.from({ length: n }, () => random.int(3, vocabulary - 1));
  const stems = [0.8, 0.5, 0.3, 0].map((share) => tokens(Math.floor(share * longest)));
  stems.push([...stems[1]!, ...tokens(Math.floor(0.3 * longest))]);
  const asked: Asked[] = [];
  for (let i = 0; i < count; i++) {
    const stem = random.pick(stems);
    const earlier = asked.length > 0 && random.next() < 0.3 ? random.pick(asked) : undefined;
    asked.push({
      prompt: earlier?.prompt ?? [...stem, ...tokens(random.int(1, longest - stem.length))],
      sampling: random.pick(samplings),
      maxTokens: random.int(1, MOST),
      masked: i % 3 === 1,
      priority: random.int(0, 3),
      delay: earlier && random.next() < 0.5 ? 0 : random.int(0, 12),
      leaves: random.next() < 0.15 ? random.int(0, 5) : undefined,
    });
  }
  return asked;
}

async function answer(
  engine: Engine,
  { prompt, sampling, maxTokens, masked, priority, leaves }: Asked,
): Promise<Choice[]> {
  const choices: Choice[] = [];
  if (leaves === 0) return choices;
  for await (const choice of engine.generate({
    prompt,
    sampling: samplingFrom(sampling),
    maxTokens,
    priority,
    ...(masked ? { mask: new Stepping(engine.decoder.vocabularySize) } : undefined),
  }))
    if (choices.push(choice) === leaves) break;
  return choices;
}

/** So many that logits are summarized block by block, the last one not full. */
const LARGE = 20_011;

/**
 * A checkpoint beside the project, or a fixture with room for texts on both sides of where its encoding changes, or its
 * window ends; perhaps with another vocabulary.
 */
async function opened(name: string, device: Device, vocabulary?: number): Promise<LoadedModel> {
  if (!name.endsWith(".json")) return await load(shared(name), device);
  const { seed, tensors, config } = readFixture(name);
  if (vocabulary !== undefined) {
    const wider = { ...tensors, "model.embed_tokens.weight": [vocabulary, 64] };
    const fields = new Fields(name, { ...config, vocab_size: vocabulary, max_position_embeddings: 260 });
    return await loadModel(formulaCheckpoint(seed, wider), fields, device);
  }
  const longer =
    name === "mistral.json"
      ? { ...config, max_position_embeddings: 560, sliding_window: 300 }
      : { ...config, max_position_embeddings: 260, original_max_position_embeddings: 130 };
  return await loadModel(formulaCheckpoint(seed, tensors), new Fields(name, longer), device);
}

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One native device is enough: the kernels of each are compared elsewhere. */
const chosen = subjects.filter(
  ({ name }, i) => !name.startsWith("native") || subjects[i - 1]?.name.startsWith("native") === false,
);

describe.skipIf(!haveShared)("a request is the same, whoever is beside it", () => {
  describe.each(chosen)("$name", ({ name, open }) => {
    const slow = name === "reference";
    let device: Device;
    beforeAll(async () => {
      device = await open(2);
    });
    afterAll(() => device.close());

    it.each([
      ["golden/llama", "f32"],
      ["golden/mistral", "f16"],
      ["mistral.json", "q8_0"],
      ["llama_longrope.json", "f16"],
      ["models/stories260K/hf", "f16"],
      ["mistral.json", "f16", LARGE],
    ] as const)("%s, cached in %s", async (checkpoint, cacheFormat, vocabulary?: number) => {
      const model = await opened(checkpoint, device, vocabulary);
      const { decoder } = model;
      const random = new Random(checkpoint.length + 1);
      // Long enough for tiles of keys in common, where the model's context is.
      const longest = slow ? 100 : Math.min(decoder.parts.context - MOST, 420);
      const asked = crowd(random, slow ? 5 : 14, longest, decoder.vocabularySize);
      const base: EngineOptions = { cacheFormat, cacheTokens: decoder.parts.context };
      const single = new Engine(decoder, device, { ...base, keepPrefixes: false });
      const alone: Choice[][] = [];
      for (const one of asked) alone.push(await answer(single, one));
      single.close();
      const total = { preemptions: 0, cachedTokens: 0 };
      for (let world = 0; world < (slow ? 2 : 5); world++) {
        const sequences = world === 0 ? 2 : random.pick([2, 3, 8]);
        const options: EngineOptions = {
          ...base,
          sequences,
          cacheTokens: longest + MOST + random.pick([0, 0, 300, 3000]),
          stepTokens: sequences + random.pick([1, 7, 64, 512]),
          patience: world === 0 ? 10_000 : random.pick([0, 50, 10_000]),
          keepPrefixes: world !== 1,
          sharedAttention: world !== 2,
        };
        const engine = new Engine(decoder, device, options);
        const answers = await Promise.all(
          asked.map(async (one) => {
            await later(one.delay * (world === 0 ? 5 : 1));
            return await answer(engine, one);
          }),
        );
        for (const [i, choices] of answers.entries())
          expect(choices, `request ${i} with ${JSON.stringify(options)}`).toEqual(alone[i]);
        // One that was given up leaves with the next step.
        for (let i = 0; i < 1000 && engine.stats().running > 0; i++) await later(1);
        const { running, waiting, blocks, preemptions, cachedTokens } = engine.stats();
        expect({ running, waiting, available: blocks.available }).toEqual({
          ...{ running: 0, waiting: 0 },
          available: blocks.capacity,
        });
        total.preemptions += preemptions;
        total.cachedTokens += cachedTokens;
        engine.close();
      }
      expect(total.cachedTokens).toBeGreaterThan(0);
      if (!slow && checkpoint.includes("stories")) expect(total.preemptions).toBeGreaterThan(0);
      await model.weights.close();
    });
  });
});
