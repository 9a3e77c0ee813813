/** Checkpoints in the Hugging Face layout with random weights, for architectures that have no golden one. */
import { mkdirSync, writeFileSync } from "node:fs";
import { Fields } from "../../src/checkpoint/config.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors-writer.ts";
import { ReferenceDevice } from "../../src/device/reference.ts";
import { architectureOf } from "../../src/models/index.ts";
import { Weights } from "../../src/nn/index.ts";
import type { Tensor } from "../../src/ops/index.ts";
import { Random } from "./random.ts";

/** Writes down which weights an architecture asks for, by the names and shapes of the Hugging Face layout. */
class Recorder extends Weights {
  readonly asked = new Map<string, readonly number[]>();
  readonly #has: (name: string) => boolean;

  constructor(has: (name: string) => boolean) {
    const none = { kind: "safetensors", path: "none", tensors: new Map(), metadata: new Map() } as const;
    const refuse = (): never => {
      throw new Error("nothing is read");
    };
    super({ ...none, bytes: refuse, raw: refuse, release() {}, close() {} }, new ReferenceDevice());
    this.#has = has;
  }

  override has(name: string): boolean {
    return this.#has(name);
  }

  override matrix(...[name, [m, k], options = {}]: Parameters<Weights["matrix"]>): Tensor {
    this.asked.set(name, options.transposed ? [k, m] : [m, k]);
    const [from, to] = options.rows ?? [0, m];
    return this.upload(new Float32Array((to - from) * k), [to - from, k]);
  }

  override experts(...[name, [e, m, k]]: Parameters<Weights["experts"]>): Tensor {
    for (let i = 0; i < e; i++) this.asked.set(name.replace("*", String(i)), [m, k]);
    return this.upload(new Float32Array(e * m * k), [e, m, k]);
  }

  override numbers(name: string, d: number): Float32Array {
    this.asked.set(name, [d]);
    return new Float32Array(d);
  }
}

/** @param has which of the optional tensors there are, by name */
export async function writeRandomCheckpoint(
  folder: string,
  config: Record<string, unknown>,
  has: (name: string) => boolean,
): Promise<void> {
  const recorder = new Recorder(has);
  const fields = new Fields(folder, config as ConstructorParameters<typeof Fields>[1]);
  architectureOf(fields).build(recorder, fields);
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/config.json`, JSON.stringify(config));
  const random = new Random(1);
  const tensors = [...recorder.asked].map(([name, shape]) => ({ name, shape, dtype: "F32" }));
  await writeSafetensors(`${folder}/model.safetensors`, tensors, ({ name, shape }) => {
    const count = shape.reduce((n, d) => n * d, 1);
    const values = random.normals(count, 0.1);
    // Norms are disturbed ones.
    const base = /norm\S*\.weight$/.test(name) ? 1 : 0;
    return new Uint8Array(values.map((x) => base + x).buffer);
  });
  await recorder.device.close();
}
