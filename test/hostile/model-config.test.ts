/**
 * A config.json that does not fit its weights, or fits nothing: the model opens and runs, or the config is
 * refused with an error of ours before anything runs.
 */
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/base/errors.ts";
import { Fields } from "../../src/checkpoint/config.ts";
import { locate } from "../../src/checkpoint/locate.ts";
import { openCheckpoint, readJsonFile } from "../../src/checkpoint/open.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import { type LoadedModel, loadModel } from "../../src/models/index.ts";
import { forwardAll } from "../support/models.ts";
import { Random } from "../support/random.ts";
import { haveShared, shared } from "../support/shared.ts";

type Json = string | number | boolean | null | Json[] | { [field: string]: Json };

const values: readonly Json[] = [
  ...[0, 1, 2, 3, 7, 8, 64, 255, 4096, -1, 0.5, 1e-30, 1e30, 2 ** 31, 2 ** 53, Number.MAX_VALUE],
  ...["", "gelu", "none", "__proto__", "x".repeat(1000)],
  ...[
    true,
    false,
    null,
    [],
    [1, 2],
    [[]],
    {},
    { rope_type: "yarn", factor: 4 },
    { type: "dynamic", factor: 2 },
  ],
  {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 1,
    original_max_position_embeddings: 8,
  },
  { rope_type: "longrope", short_factor: [1], long_factor: [], factor: 0 },
  ["full_attention", "sliding_attention"],
];

/** Fields that a config might have, beside those that it has. */
const extra = ["rope_scaling", "sliding_window", "head_dim", "tie_word_embeddings", "partial_rotary_factor"];

function damage(config: Record<string, Json>, random: Random): Record<string, Json> {
  const broken = { ...config };
  for (let n = random.int(1, 3); n > 0; n--) {
    const field = random.pick([...Object.keys(config), ...extra]);
    if (random.next() < 0.15) delete broken[field];
    else broken[field] = random.pick(values);
  }
  return broken;
}

describe.skipIf(!haveShared)("mutated config.json", () => {
  for (const [i, name] of [
    "llama",
    "gemma",
    "gpt2",
    "mixtral",
    "olmoe",
    "phi3",
    "qwen2_moe",
    "starcoder2",
  ].entries())
    it(name, async () => {
      const random = new Random(1000 + i);
      const device = new ReferenceDevice();
      const files = locate(shared(`golden/${name}`));
      const config = readJsonFile(files.config!) as Record<string, Json>;
      const checkpoint = openCheckpoint(files);
      let [opened, refused] = [0, 0];
      for (let round = 0; round < 250; round++) {
        const broken = damage(config, random);
        let model: LoadedModel;
        try {
          model = await loadModel(checkpoint, new Fields("config.json", broken), device);
        } catch (error) {
          if (!(error instanceof CheckpointError))
            throw new Error(`${JSON.stringify(broken)}`, { cause: error });
          refused++;
          continue;
        }
        try {
          await forwardAll(model, [[1, 2, 3]]);
        } catch (error) {
          throw new Error(`opened, but does not run: ${JSON.stringify(broken)}`, { cause: error });
        }
        model.weights.free();
        opened++;
      }
      expect(device.memory().buffers, "bytes held by refused models").toBe(0);
      expect(opened).toBeGreaterThan(10);
      expect(refused).toBeGreaterThan(50);
      await device.close();
    });
});
