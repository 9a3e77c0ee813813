/** Is each family that GGUF can express the same model when it comes from a GGUF file? */
import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { encodeSafetensorsHeader } from "../../src/checkpoint/safetensors-writer.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import { quantize } from "../../src/tasks/quantize.ts";
import { formulaCheckpoint, readFixture } from "../support/formula.ts";
import { forwardAll, load, relativeError } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";

const temporary = temporaryFolder();

/** Fixtures, and what must be different in their configs because GGUF implies it. */
const cases: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  gemma: {},
  gemma2: { query_pre_attn_scalar: 32 },
  gemma3: { query_pre_attn_scalar: 32, layer_types: null, sliding_window_pattern: 6 },
  gpt_neox: {},
  llama_biases: {},
  llama_longrope: {},
  mistral: {},
  mixtral: {},
  olmo2: {},
  phi3_long: {},
  phi3_short: {},
  qwen3: { use_sliding_window: false },
  smollm3: { use_sliding_window: false, no_rope_layers: [1, 1, 1, 0] },
  stablelm: {},
  stablelm_parallel: {},
  starcoder2: {},
};

describe("families through GGUF at f32", () => {
  for (const [name, changes] of Object.entries(cases))
    it(name, async () => {
      const fixture = readFixture(`${name}.json`);
      const folder = `${temporary}/${name}`;
      mkdirSync(folder);
      const { tensors, bytes } = formulaCheckpoint(fixture.seed, fixture.tensors);
      const list = [...tensors.values()];
      const header = encodeSafetensorsHeader(list.map((tensor) => ({ ...tensor, dtype: "F32" })));
      const data = list.map((tensor) => bytes(tensor.name));
      writeFileSync(`${folder}/model.safetensors`, Buffer.concat([header, ...data]));
      writeFileSync(`${folder}/config.json`, JSON.stringify({ ...fixture.config, ...changes }));
      const out = `${temporary}/${name}.gguf`;
      await quantize(folder, { format: "f32", out });

      const device = new ReferenceDevice();
      const original = await forwardAll(await load(folder, device), [fixture.ids]);
      const written = await forwardAll(await load(out, device), [fixture.ids]);
      // Writers of rotary factors and orders of rows change the last bits.
      expect(relativeError(written.logits, original.logits)).toBeLessThan(5e-6);
      await device.close();
    });
});
