/** The learning kit on the reference device: what a step does, beside arithmetic written out here. */
import { afterAll, describe, expect, it } from "vitest";
import { BatchAttention, makeBatch } from "../../../src/cache/index.ts";
import { Fields } from "../../../src/checkpoint/config.ts";
import { openDevice } from "../../../src/device/index.ts";
import { formatBytes, formats } from "../../../src/format/index.ts";
import {
  type Decoder,
  distillation,
  LanguageObjective,
  type LanguageOptions,
  loadTrainable,
  Optimizer,
  type ParameterOptions,
  Parameters,
  Trainer,
  type TrainerOptions,
} from "../../../src/learn/index.ts";
import { type DeviceBuffer, Stream, Tensor } from "../../../src/ops/index.ts";

const device = await openDevice("reference");
afterAll(() => device.close());

const VOCABULARY = 32;
const config = new Fields("config.json", {
  architectures: ["LlamaForCausalLM"],
  ...{ hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2 },
  ...{ num_key_value_heads: 1, vocab_size: VOCABULARY, rms_norm_eps: 1e-5, max_position_embeddings: 16 },
  ...{ tie_word_embeddings: true, hidden_act: "silu" },
});
const tokens = {
  read(start: number, out: Int32Array): void {
    for (let i = 0; i < out.length; i++) out[i] = ((start + i) * 7 + ((start + i) % 3) * 5) % VOCABULARY;
  },
};

interface Setting {
  readonly trainer?: TrainerOptions;
  readonly parameters?: ParameterOptions;
  readonly language?: Partial<LanguageOptions>;
  readonly seed?: number;
}

async function setUp({ trainer, parameters, language, seed = 1 }: Setting = {}) {
  const model = await loadTrainable({ seed }, config, device);
  const all = new Parameters(device, model.weights.trainable, parameters);
  const objective = new LanguageObjective({
    ...{ decoder: model.decoder, tokens, start: (n: number) => 5 * n, context: 8, windows: 4 },
    ...language,
  });
  return { model, parameters: all, objective, trainer: new Trainer(all, objective, trainer) };
}

const read = async (tensor: Tensor): Promise<number[]> => [...(await new Stream(device).read(tensor))];
const all = async (parameters: Parameters): Promise<number[][]> =>
  Promise.all(Array.from(parameters, ({ weight }) => read(weight)));
const logitsOf = async (decoder: Decoder, ids: readonly number[]): Promise<Float32Array> => {
  const s = new Stream(device);
  const hidden = decoder.forward(s, makeBatch([{ sequence: 0, ids, start: 0 }]), new BatchAttention());
  return s.read(
    decoder.logits(
      s,
      hidden,
      Int32Array.from(ids, (_, i) => i),
    ),
  );
};
const logSoftmax = (row: readonly number[]): number[] => {
  const lse = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
  return row.map((x) => x - lse);
};
const rowsOf = (logits: Float32Array): number[][] =>
  Array.from({ length: logits.length / VOCABULARY }, (_, i) => [
    ...logits.slice(i * VOCABULARY, (i + 1) * VOCABULARY),
  ]);

describe("a step", () => {
  it("lowers the loss, and sums batches as it does windows", async () => {
    const [one, four] = [await setUp(), await setUp({ language: { windows: 1, batches: 4 } })];
    const losses: number[] = [];
    for (let step = 0; step < 20; step++) {
      const { loss, norm } = await one.trainer.step(step, 3e-3);
      const other = await four.trainer.step(step, 3e-3);
      expect(other.loss).toBeCloseTo(loss, 5);
      expect(other.norm).toBeCloseTo(norm, 4);
      losses.push(loss);
    }
    expect(losses[0]).toBeCloseTo(Math.log(VOCABULARY), 0);
    expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.5);
  });

  it("is a function of weights, moments, step and rate alone", async () => {
    const [a, b] = [await setUp(), await setUp()];
    for (let step = 0; step < 3; step++) {
      await a.trainer.step(step, 3e-3);
      await b.trainer.step(step, 3e-3);
    }
    expect(await all(a.parameters)).toEqual(await all(b.parameters));
    await b.trainer.step(3, 1e-3);
    expect(await all(a.parameters)).not.toEqual(await all(b.parameters));
  });

  it("measures without learning", async () => {
    const { trainer, parameters, objective } = await setUp();
    objective.feed(0);
    const before = await all(parameters);
    const measured = await trainer.measure();
    expect(await all(parameters)).toEqual(before);
    expect((await trainer.step(0, 1e-3)).loss).toBeCloseTo(measured, 6);
  });

  it("gives the same with blocks computed anew", async () => {
    const [kept, anew] = [await setUp(), await setUp({ language: { recompute: true } })];
    for (let step = 0; step < 2; step++)
      expect(await anew.trainer.step(step, 1e-3)).toEqual(await kept.trainer.step(step, 1e-3));
  });
});

describe("the optimizer", () => {
  const make = (name: string, values: readonly number[], shape: readonly number[]) => {
    const tensor = new Tensor("f32", shape, device.allocate(4 * values.length));
    device.write(tensor.storage as DeviceBuffer, 0, new Uint8Array(Float32Array.from(values).buffer));
    return [name, tensor] as const;
  };
  const start = { matrix: [0.5, -1, 2, 0.25], norm: [1, 1] };
  const gradients = { matrix: [0.3, -0.4, 1.2, 0], norm: [-0.5, 2] };

  /** AdamW in f64, written from the paper. */
  function expected(
    steps: number,
    rate: number,
    { clip = 1, decay, factor = 1 }: { clip?: number; decay: number; factor?: number },
    key: "matrix" | "norm",
  ): number[] {
    const norm = Math.hypot(...gradients.matrix, ...gradients.norm);
    const scale = Math.min(1, clip / norm);
    return start[key].map((weight, i) => {
      let [w, m, v] = [weight, 0, 0];
      for (let t = 1; t <= steps; t++) {
        const g = gradients[key][i]! * scale;
        m = 0.9 * m + 0.1 * g;
        v = 0.95 * v + 0.05 * g * g;
        const direction = m / (1 - 0.9 ** t) / (Math.sqrt(v / (1 - 0.95 ** t)) + 1e-8);
        w -= rate * factor * (direction + decay * w);
      }
      return w;
    });
  }

  async function run(options: ConstructorParameters<typeof Optimizer>[1], steps: number) {
    const weights = new Map([make("matrix", start.matrix, [2, 2]), make("norm", start.norm, [1, 2])]);
    const parameters = new Parameters(device, weights);
    const optimizer = new Optimizer(parameters, options);
    const grads = new Map([make("matrix", gradients.matrix, [2, 2]), make("norm", gradients.norm, [1, 2])]);
    const s = new Stream(device);
    const recording = s.record([optimizer.push(s, grads)]);
    for (let step = 0; step < steps; step++) {
      optimizer.begin(step, 0.01);
      await recording.run();
    }
    return { weights, optimizer };
  }
  const close = (actual: readonly number[], wanted: readonly number[]): void => {
    expect(actual).toHaveLength(wanted.length);
    for (const [i, value] of actual.entries()) expect(value).toBeCloseTo(wanted[i]!, 5);
  };

  it("is AdamW with clipping, and decays matrices only", async () => {
    const { weights } = await run({}, 5);
    close(await read(weights.get("matrix")!), expected(5, 0.01, { decay: 0.1 }, "matrix"));
    close((await read(weights.get("norm")!)).slice(), expected(5, 0.01, { decay: 0 }, "norm"));
  });

  it("takes decay and rate by parameter, and no clipping", async () => {
    const options = {
      clip: 1e9,
      decay: () => 0.5,
      rate: ({ name }: { name: string }) => (name === "norm" ? 3 : 1),
    };
    const { weights } = await run(options, 3);
    close(await read(weights.get("matrix")!), expected(3, 0.01, { decay: 0.5, clip: 1e9 }, "matrix"));
    close(await read(weights.get("norm")!), expected(3, 0.01, { decay: 0.5, clip: 1e9, factor: 3 }, "norm"));
  });

  it("keeps averages, which begin as plain means", async () => {
    const { optimizer } = await run({ average: 0.6 }, 3);
    const weightsAfter = (steps: number) => expected(steps, 0.01, { decay: 0 }, "norm");
    const second = weightsAfter(1).map((w, i) => (w + weightsAfter(2)[i]!) / 2);
    close(
      await read(optimizer.averages().get("norm")!),
      second.map((w, i) => w + 0.4 * (weightsAfter(3)[i]! - w)),
    );
    expect(() => new Optimizer(new Parameters(device, new Map()), { average: 1 })).toThrow(/average/);
  });
});

describe("weights read as copies", () => {
  it.each(["bf16", "q8_0", "q4_0"] as const)(
    "are rounded to %s after each step, and learn in f32",
    async (read_) => {
      const { trainer, parameters } = await setUp({
        parameters: { read: read_ },
        trainer: { average: 0.5 },
      });
      const losses: number[] = [];
      for (let step = 0; step < 6; step++) losses.push((await trainer.step(step, 3e-3)).loss);
      expect(losses.at(-1)).toBeLessThan(losses[0]!);
      const averages = trainer.optimizer.averages();
      for (const { name, weight, used } of parameters) {
        const values = Float32Array.from(await read(weight));
        if (weight.dim(0) === 1) expect(used).toBe(weight);
        const packed = new Uint8Array(formatBytes(read_, values.length));
        if (used === weight) continue;
        formats[read_].pack(values, packed);
        const rounded = new Float32Array(values.length);
        formats[read_].unpack(packed, rounded);
        const [bytes] = await new Stream(device).flush([used]);
        if (used.dtype === "bf16") expect(bytes).toEqual(packed);
        else expect([...new Float32Array(bytes!.slice().buffer)]).toEqual([...rounded]);
        expect([...rounded], name).not.toEqual([...values]);
        // Averages are of the weights, not of what was read.
        formats[read_].pack(Float32Array.from(await read(averages.get(name)!)), packed);
        formats[read_].unpack(packed, rounded);
        expect([...rounded]).not.toEqual(await read(averages.get(name)!));
      }
    },
  );
});

describe("losses", () => {
  const ids = Array.from({ length: 8 }, (_, i) => i);
  const window = new Int32Array(9);
  tokens.read(0, window);

  it("smooth labels", async () => {
    const { trainer, objective, model } = await setUp({ language: { windows: 1, smoothing: 0.2 } });
    objective.feed(0);
    const rows = rowsOf(await logitsOf(model.decoder, [...window.slice(0, 8)])).map(logSoftmax);
    const wanted = rows.map((row, i) => {
      const uniform = row.reduce((sum, p) => sum + p, 0) / VOCABULARY;
      return -(0.8 * row[window[i + 1]!]! + 0.2 * uniform);
    });
    expect(await trainer.measure()).toBeCloseTo(wanted.reduce((sum, x) => sum + x, 0) / 8, 5);
  });

  it("add the divergence from a teacher, which is nothing from oneself", async () => {
    const teacher = await loadTrainable({ seed: 2, deviation: () => 0.3 }, config, device);
    const [plain, taught] = [
      await setUp({ language: { windows: 1 } }),
      await setUp({
        language: { windows: 1, more: distillation(teacher.decoder, { temperature: 3, weight: 0.5 }) },
      }),
    ];
    for (const { objective } of [plain, taught]) objective.feed(0);
    const input = [...window.slice(0, 8)];
    const soft = (decoder: Decoder) =>
      logitsOf(decoder, input).then((logits) =>
        rowsOf(logits).map((row) => logSoftmax(row.map((x) => x / 3))),
      );
    const [p, q] = [await soft(teacher.decoder), await soft(taught.model.decoder)];
    const divergence =
      ids.reduce((sum, i) => sum + p[i]!.reduce((s, lp, j) => s + Math.exp(lp) * (lp - q[i]![j]!), 0), 0) / 8;
    expect(divergence).toBeGreaterThan(0.01);
    const [before, after] = [await plain.trainer.measure(), await taught.trainer.measure()];
    expect(after - before).toBeCloseTo(0.5 * 9 * divergence, 4);
    const fixed = await read(teacher.weights.trainable.values().next().value!);
    await taught.trainer.step(0, 1e-3);
    expect(await read(teacher.weights.trainable.values().next().value!)).toEqual(fixed);
    const self = await setUp({ language: { windows: 1 } });
    const own = new LanguageObjective({
      ...{ decoder: self.model.decoder, tokens, start: () => 0, context: 8, windows: 1 },
      more: distillation(self.model.decoder),
    });
    own.feed(0);
    const alone = await new Trainer(self.parameters, own).measure();
    self.objective.feed(0);
    expect(alone).toBeCloseTo(await self.trainer.measure(), 6);
    expect(() => distillation(self.model.decoder, { temperature: 0 })).toThrow(/temperature/);
  });
});
