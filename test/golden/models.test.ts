/** Does each architecture compute what Hugging Face transformers computes? Hidden states, logits, greedy tokens. */
import { describe, expect, it } from "vitest";
import { readF32, readIntegers } from "../../src/checkpoint/checkpoint.ts";
import { FileSource } from "../../src/checkpoint/file.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { subjects } from "../support/devices.ts";
import { forwardAll, greedy, load, relativeError } from "../support/models.ts";
import { haveShared, shared } from "../support/shared.ts";

const names = [
  "gemma",
  "gpt2",
  "llama",
  "llama_bias",
  "llama_linear",
  "llama_rope3",
  "mistral",
  "mixtral",
  "olmoe",
  "phi3",
  "qwen2",
  "qwen2_moe",
  "starcoder2",
];
const bound = 2e-5;

for (const { name: deviceName, open } of subjects)
  describe.skipIf(!haveShared)(`golden checkpoints on ${deviceName}`, () => {
    for (const name of names) {
      it(name, async () => {
        const device = await open(2);
        const model = await load(shared(`golden/${name}`), device);
        const golden = openSafetensors(new FileSource(shared(`golden/${name}/golden.safetensors`)));
        const [count = 0, length = 0] = golden.tensors.get("in.input_ids")!.shape;
        const ids = readIntegers(golden, "in.input_ids");
        const prompts = Array.from({ length: count }, (_, i) => ids.slice(i * length, (i + 1) * length));

        const { hidden, logits } = await forwardAll(model, prompts);
        // The last hidden state that Hugging Face reports has gone through the last norm; logits cover it.
        for (const [i, states] of hidden.slice(0, -1).entries())
          expect(relativeError(states, readF32(golden, `hidden_states.${i}`)), `hidden ${i}`).toBeLessThan(
            bound,
          );
        expect(relativeError(logits, readF32(golden, "out.logits")), "logits").toBeLessThan(bound);

        const expected = readIntegers(golden, "out.greedy");
        expect(await greedy(model, prompts[0]!, expected.length)).toEqual(expected);
        await device.close();
      });
    }
  });
