/**
 * One training step, recorded once and run again and again: losses of some batches, their gradients, the optimizer.
 * Knows ops and their order; must not know files, time, or what the batches hold.
 */
import { type Recompute, tape } from "../grad/index.ts";
import type { Precision, Recording, Stream, Tensor } from "../ops/index.ts";
import { Optimizer, type OptimizerOptions } from "./optimizer.ts";
import type { Parameters } from "./parameters.ts";
import { LearningStream } from "./stream.ts";

/** What is to become small, over batches of a fixed shape. */
export interface Objective {
  /** Batches whose gradients are summed in one step; they need the memory of one. */
  readonly batches: number;
  /** Pushes the mean loss of batch i, [1, 1], from constants that `feed` fills. */
  push(s: Stream, batch: number, recompute: Recompute): Tensor;
  /** Writes the numbers of a step, counted from 0, into the constants. A pure function of the step. */
  feed(step: number): void;
}

export interface TrainerOptions extends OptimizerOptions {
  /** What products round their operands to. Default `f32`. */
  readonly precision?: Precision;
}

export interface StepResult {
  /** Mean over the step's batches, before the step. */
  readonly loss: number;
  /** Of all gradients, before clipping. */
  readonly norm: number;
}

export class Trainer {
  readonly parameters: Parameters;
  readonly optimizer: Optimizer;
  private readonly objective: Objective;
  private readonly precision: Precision;
  private recording: Recording | undefined;

  constructor(parameters: Parameters, objective: Objective, options: TrainerOptions = {}) {
    const { precision = "f32", ...rest } = options;
    this.parameters = parameters;
    this.objective = objective;
    this.precision = precision;
    this.optimizer = new Optimizer(parameters, rest);
  }

  /** Makes the step counted from 0, at this learning rate. */
  async step(step: number, rate: number): Promise<StepResult> {
    this.objective.feed(step);
    this.recording ??= await this.record();
    this.optimizer.begin(step, rate);
    const [loss, squares] = (await this.recording.run()).map((bytes) => first(bytes));
    if (this.parameters.roundsOnHost) await this.parameters.refresh();
    const { batches } = this.objective;
    return { loss: loss! / batches, norm: Math.sqrt(squares!) / batches };
  }

  private async record(): Promise<Recording> {
    await this.parameters.refresh();
    const s = new LearningStream(this.parameters.device, this.parameters, { precision: this.precision });
    const used = this.parameters.used();
    let total: Tensor | undefined;
    let into: ReadonlyMap<string, Tensor> | undefined;
    for (let i = 0; i < this.objective.batches; i++) {
      const { loss, grads } = tape(
        s,
        used,
        (recompute) => this.objective.push(s, i, recompute),
        into && { into },
      );
      into ??= grads;
      total = total ? sumOf(s, total, loss) : loss;
    }
    s.endCopies();
    const squares = this.optimizer.push(s, into!, 1 / this.objective.batches);
    return s.record([total!, squares]);
  }

  /** The loss of batch i of the numbers that `feed` left, with the weights as they are. */
  async measure(batch = 0): Promise<number> {
    const s = new LearningStream(this.parameters.device, this.parameters, { precision: this.precision });
    return first((await s.flush([this.objective.push(s, batch, (work) => work())]))[0]!);
  }
}

function sumOf(s: Stream, a: Tensor, b: Tensor): Tensor {
  const y = s.empty("f32", a.shape);
  s.push({ kind: "add", a, b, y });
  return y;
}

const first = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true);
