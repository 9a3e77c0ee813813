/** Weights that learn: from checkpoints and back to the bit, and in part, over frozen ones of any format. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readF32 } from "../../src/checkpoint/checkpoint.ts";
import { Fields } from "../../src/checkpoint/config.ts";
import { locate } from "../../src/checkpoint/locate.ts";
import { openCheckpoint, readJsonFile } from "../../src/checkpoint/open.ts";
import { randomCheckpoint } from "../../src/checkpoint/random.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors-writer.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import type { FormatName } from "../../src/format/index.ts";
import { tape } from "../../src/grad/index.ts";
import { loadTrainable } from "../../src/models/index.ts";
import { type Device, Stream, type Tensor } from "../../src/ops/index.ts";
import { openTrainable } from "../../src/tasks/open-trainable.ts";
import { subjects } from "../support/devices.ts";
import { largest } from "../support/gradients.ts";
import { forwardAll, load } from "../support/models.ts";
import { writeRandomCheckpoint } from "../support/random-checkpoint.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { configs, nextTokenLoss, tinyModel, tokens } from "../support/training.ts";

const top = temporaryFolder();

const open = (folder: string) => {
  const files = locate(folder);
  return {
    checkpoint: openCheckpoint(files),
    config: new Fields(files.config!, readJsonFile(files.config!)),
  };
};

describe("from a checkpoint and back", () => {
  // Matrices that are turned round and cut, vectors with something added, norms of heads one by one.
  it.each(["llama", "gpt2", "gemma2", "stablelm"] as const)("%s: all tensors, by name", async (name) => {
    const folder = `${top}/${name}`;
    const has = (tensor: string): boolean =>
      tensor.endsWith(".bias") && name !== "llama" && name !== "gemma2";
    await writeRandomCheckpoint(`${folder}/from`, { ...configs[name], model_type: name }, has);
    const device = new ReferenceDevice();
    const { checkpoint, config } = open(`${folder}/from`);
    const { decoder, weights } = await loadTrainable(checkpoint, config, device);
    mkdirSync(`${folder}/to`);
    writeFileSync(`${folder}/to/config.json`, readFileSync(`${folder}/from/config.json`));
    const learned = new Map((await weights.read()).map((tensor) => [tensor.name, tensor]));
    const list = [...learned.values()].map(({ name, shape }) => ({ name, shape, dtype: "F32" }));
    await writeSafetensors(
      `${folder}/to/model.safetensors`,
      list,
      ({ name }) => new Uint8Array(learned.get(name)!.values.buffer),
    );

    const saved = open(`${folder}/to`).checkpoint;
    expect([...saved.tensors.keys()].sort()).toEqual([...checkpoint.tensors.keys()].sort());
    for (const tensor of saved.tensors.keys()) {
      const [mine, theirs] = [readF32(saved, tensor), readF32(checkpoint, tensor)];
      expect(saved.tensors.get(tensor)!.shape).toEqual(checkpoint.tensors.get(tensor)!.shape);
      // What Gemma adds to its norms costs their last bits.
      if (name === "gemma2") expect(largest(mine.map((x, i) => x - theirs[i]!)), tensor).toBeLessThan(1e-6);
      else expect(mine, tensor).toEqual(theirs);
    }
    const model = await load(`${folder}/from`, device);
    const learner = { architecture: model.architecture, decoder, weights };
    const prompts = [[1, 2, 3, 4, 5], [7]];
    expect(await forwardAll(learner, prompts)).toEqual(await forwardAll(model, prompts));
  });

  it("GGUF files are refused: their weights are rearranged", async () => {
    const { checkpoint, config } = randomCheckpoint("stories-260k", "f32");
    const gguf = { ...checkpoint, kind: "gguf" as const };
    await expect(loadTrainable(gguf, new Fields("random", config), new ReferenceDevice())).rejects.toThrow(
      /GGUF.*safetensors/,
    );
  });
});

describe("random weights", () => {
  it("come with a config and a seed, and have a model's gradients", async () => {
    const model = await openTrainable({ config: configs.llama, seed: 4 }, { device: "reference" });
    const s = new Stream(model.device);
    const { loss } = tape(s, model.weights.trainable, () => nextTokenLoss(s, model.decoder, tokens([5])));
    // Small weights know nothing: all of 23 tokens are as likely.
    expect((await s.read(loss))[0]).toBeCloseTo(Math.log(23), 1);
    await model.close();
    await expect(openTrainable(`${top}/none`)).rejects.toThrow();
  });

  it("depend on the seed and on their name, not on what else there is", async () => {
    const values = async (device: Device, learns?: (name: string) => boolean) =>
      new Map(
        (await (await tinyModel("llama", device, learns && { learns })).weights.read()).map((t) => [
          t.name,
          t,
        ]),
      );
    const device = new ReferenceDevice();
    const [all, some] = [await values(device), await values(device, (name) => name.includes("layers.1.mlp"))];
    expect(some.size).toBe(3);
    for (const [name, tensor] of some) expect(tensor).toEqual(all.get(name));
    const [gate, up] = ["gate", "up"].map(
      (part) => all.get(`model.layers.1.mlp.${part}_proj.weight`)!.values,
    );
    expect(gate).not.toEqual(up);
    const mean = gate!.reduce((sum, x) => sum + x, 0) / gate!.length;
    const deviation = Math.sqrt(gate!.reduce((sum, x) => sum + (x - mean) ** 2, 0) / gate!.length);
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(deviation / 0.25).toBeGreaterThan(0.9);
    expect(deviation / 0.25).toBeLessThan(1.1);
    expect(all.get("model.norm.weight")!.values).toEqual(new Float32Array(16).fill(1));
  });
});

describe("what learns over frozen weights", () => {
  /** Gradients of the norms of a model whose matrices are of a format, in panels where the device has them. */
  async function gradients(device: Device, format: FormatName): Promise<Map<string, Float32Array>> {
    const { checkpoint, config } = randomCheckpoint("stories-260k", format, 3);
    const fields = new Fields("random", config);
    const { decoder, weights } = await loadTrainable(checkpoint, fields, device, (name) =>
      name.includes("norm"),
    );
    const s = new Stream(device);
    const { grads } = tape(s, weights.trainable, () => nextTokenLoss(s, decoder, tokens([9, 4], 512)));
    const outputs = await s.flush([...(grads as Map<string, Tensor>).values()]);
    weights.free();
    return new Map([...grads.keys()].map((name, i) => [name, new Float32Array(outputs[i]!.slice().buffer)]));
  }

  // Integer formats round what goes in to 8 bits on the way forward.
  const formats = [
    ["f32", 1e-4],
    ["f16", 1e-4],
    ["q8_0", 0.05],
  ] as const;
  const wanted = new Map(formats.map(([format]) => [format, gradients(new ReferenceDevice(), format)]));

  describe.each(subjects.slice(1))("$name", (subject) => {
    it.each(formats)("%s", async (format, tolerance) => {
      const device = await subject.open(2);
      try {
        const expected = await wanted.get(format)!;
        const actual = await gradients(device, format);
        expect(actual.size).toBe(11);
        for (const [name, gradient] of actual) {
          const right = expected.get(name)!;
          const error = largest(gradient.map((x, i) => x - right[i]!)) / largest(right);
          expect(error, name).toBeLessThan(tolerance);
        }
      } finally {
        await device.close();
      }
    });
  });
});
