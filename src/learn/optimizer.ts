/**
 * The end of a training step, as ops: clipping by the norm of all gradients, AdamW, and the average of weights. Knows
 * named weights and gradients; must not know where these come from.
 */
import { ParameterError } from "../base/errors.ts";
import { adamw, average, clip, type Stream, sumSquares, type Tensor } from "../ops/index.ts";
import { isMatrix, type Parameter, type Parameters } from "./parameters.ts";

export interface OptimizerOptions {
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.95. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly eps?: number;
  /** Weight decay, by parameter. Default 0.1 for matrices, 0 for vectors (norms and biases). */
  readonly decay?: (parameter: Parameter) => number;
  /** Factor of the learning rate, by parameter. Default 1. */
  readonly rate?: (parameter: Parameter) => number;
  /** The norm of all gradients is at most this. Default 1; Infinity: no clipping. */
  readonly clip?: number;
  /** Keeps an average of the weights, which keeps this share of itself in each step: 0.999, say. Default: none. */
  readonly average?: number;
}

interface Moments {
  readonly parameter: Parameter;
  readonly mean: Tensor;
  readonly square: Tensor;
  readonly average: Tensor | undefined;
}

export class Optimizer {
  private readonly options: OptimizerOptions;
  private readonly moments: readonly Moments[];
  /** Constants of the recorded step, by factor of the rate: lr, 1/(1 − β1ᵗ), 1/(1 − β2ᵗ). */
  private readonly rates = new Map<number, Float32Array>();
  private readonly averageRate = new Float32Array(1);

  constructor(parameters: Parameters, options: OptimizerOptions = {}) {
    this.options = options;
    const { average: kept } = options;
    if (kept !== undefined && !(kept > 0 && kept < 1))
      throw new ParameterError("average", `must lie between 0 and 1, not be ${kept}`);
    this.moments = Array.from(parameters, (parameter) => ({
      parameter,
      mean: parameters.allocate("f32", parameter.weight.shape),
      square: parameters.allocate("f32", parameter.weight.shape),
      average: kept === undefined ? undefined : parameters.allocate("f32", parameter.weight.shape),
    }));
  }

  /**
   * Pushes the step on a stream.
   *
   * @param scale what the gradients are multiplied by: 1 / the number of batches that were summed
   * @returns the sum of the squares of all gradients as they were given, [1]
   */
  push(s: Stream, gradients: ReadonlyMap<string, Tensor>, scale = 1): Tensor {
    const { beta1 = 0.9, beta2 = 0.95, eps = 1e-8, clip: limit = 1, decay = plainDecay } = this.options;
    const of = ({ name }: Parameter): Tensor => {
      const gradient = gradients.get(name);
      if (gradient === undefined) throw new ParameterError(name, "has no gradient");
      return gradient;
    };
    const squares = sumSquares(
      s,
      this.moments.map(({ parameter }) => of(parameter)),
    );
    const factor = clip(s, squares, limit, scale);
    const averageRate = this.options.average === undefined ? undefined : s.constant(this.averageRate);
    const constants = new Map<number, Tensor>();
    for (const { parameter, mean, square, average: kept } of this.moments) {
      const { weight, used } = parameter;
      const ratio = this.options.rate?.(parameter) ?? 1;
      const numbers = this.rates.get(ratio) ?? new Float32Array(3);
      this.rates.set(ratio, numbers);
      const rates = constants.get(ratio) ?? s.constant(numbers);
      constants.set(ratio, rates);
      const copy = used.dtype === "bf16" ? used : undefined;
      const settings = { beta1, beta2, eps, decay: decay(parameter) };
      adamw(s, { gradient: of(parameter), rates, factor, weight, mean, square, copy, ...settings });
      if (kept && averageRate) average(s, weight, averageRate, kept);
    }
    return squares;
  }

  /** Sets the constants for a step, counted from 0, before the recorded plan runs. */
  begin(step: number, rate: number): void {
    const { beta1 = 0.9, beta2 = 0.95, average: kept = 0 } = this.options;
    for (const [ratio, numbers] of this.rates)
      numbers.set([rate * ratio, 1 / (1 - beta1 ** (step + 1)), 1 / (1 - beta2 ** (step + 1))]);
    // The first steps weigh as in a plain mean, so that what the weights began with is forgotten at once.
    this.averageRate[0] = Math.max(1 - kept, 1 / (step + 1));
  }

  /** The averaged weights by name; empty where none are kept. */
  averages(): Map<string, Tensor> {
    return new Map(
      this.moments.flatMap(({ parameter, average: kept }) => (kept ? [[parameter.name, kept] as const] : [])),
    );
  }

  /** All that must be kept from one run to the next, by name. */
  state(): Map<string, Tensor> {
    const all = new Map<string, Tensor>();
    for (const { parameter, mean, square, average: kept } of this.moments) {
      all.set(`weight/${parameter.name}`, parameter.weight);
      all.set(`mean/${parameter.name}`, mean);
      all.set(`square/${parameter.name}`, square);
      if (kept) all.set(`average/${parameter.name}`, kept);
    }
    return all;
  }
}

const plainDecay = ({ weight }: Parameter): number => (isMatrix(weight) ? 0.1 : 0);
