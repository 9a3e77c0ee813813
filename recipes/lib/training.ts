/** What both recipes do alike: put a model, data and a trainer together, and write the model that came of it. */
import { join } from "node:path";
import {
  type Device,
  LanguageObjective,
  loadTrainable,
  type OptimizerOptions,
  openDevice,
  Parameters,
  type Precision,
  type TokenFile,
  type TrainableModel,
  Trainer,
  Windows,
  writeModel,
} from "fovea/learn";
import { configOf, fieldsOf, initialization, type LlamaShape } from "./llama.js";

export interface TrainingSetup {
  readonly shape: LlamaShape;
  readonly train: TokenFile;
  readonly validation: TokenFile;
  /** Windows of a batch, and batches of a step. */
  readonly windows: number;
  readonly batches: number;
  readonly precision: Precision;
  readonly seed: number;
  readonly device: string;
  readonly threads: number;
  readonly optimizer?: OptimizerOptions;
  /** Windows that a validation looks at, at most. */
  readonly validationWindows: number;
}

export interface Training {
  readonly device: Device;
  readonly model: TrainableModel;
  readonly trainer: Trainer;
  readonly tokensPerStep: number;
  readonly operationsPerStep: number;
  /** Nats per token over windows of the held-out documents. */
  measure(): Promise<number>;
  /** @param ends whether token 0 begins and ends texts, or is one like the others */
  write(folder: string, ends?: boolean): Promise<void>;
  close(): Promise<void>;
}

export async function setUp(options: TrainingSetup): Promise<Training> {
  const { shape, train, validation, windows, batches, precision, seed } = options;
  const device = await openDevice(options.device, options.threads > 0 ? { threads: options.threads } : {});
  const model = await loadTrainable(initialization(shape, seed), fieldsOf(shape), device);
  const bf16 = precision === "bf16";
  const parameters = new Parameters(device, model.weights.trainable, bf16 ? { read: "bf16" } : {});
  const { context } = shape;
  const { decoder } = model;
  const order = new Windows(train.length, context, seed);
  const objective = new LanguageObjective({
    ...{ decoder, tokens: train, context, windows, batches },
    start: (n) => order.start(n),
  });
  const trainer = new Trainer(parameters, objective, { ...options.optimizer, precision });
  // Spread evenly over what is held out.
  const count = Math.max(
    1,
    Math.min(options.validationWindows, Math.floor((validation.length - 1) / context)),
  );
  const stride = Math.floor((validation.length - 1 - context) / Math.max(1, count - 1));
  const size = Math.min(count, windows);
  const held = new LanguageObjective({
    ...{ decoder, tokens: validation, context, windows: size },
    start: (n) => (n % count) * stride,
  });
  const measuring = new Trainer(parameters, held, { precision });
  const perToken = 6 * parameters.count + 6 * shape.depth * context * shape.width;
  return {
    ...{ device, model, trainer },
    tokensPerStep: objective.tokensPerStep,
    operationsPerStep: perToken * objective.tokensPerStep,
    async measure() {
      let sum = 0;
      const turns = Math.ceil(count / size);
      for (let turn = 0; turn < turns; turn++) {
        held.feed(turn);
        sum += await measuring.measure();
      }
      return sum / turns;
    },
    async write(folder, ends = true) {
      const averages = trainer.optimizer.averages();
      const weights = await model.weights.read(averages.size > 0 ? averages : undefined);
      const { bos_token_id, eos_token_id, ...endless } = configOf(shape);
      const marks = ends ? { bos_token_id, eos_token_id } : {};
      await writeModel(folder, { config: { ...endless, ...marks }, generation: marks, weights });
    },
    async close() {
      parameters.free();
      model.weights.free();
      await device.close();
      train.close();
      validation.close();
    },
  };
}

export const stateOf = (out: string): string => join(out, "training");
