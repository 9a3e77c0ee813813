/** Holds the gradients of a tape against central differences, both in f64. */
import { expect } from "vitest";
import { type Recompute, tape } from "../../src/grad/index.ts";
import { type Device, mul, Stream, sum, Tensor } from "../../src/ops/index.ts";
import { Random } from "./random.ts";
import { WideDevice } from "./wide.ts";

export interface Values {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export type Forward = (
  s: Stream,
  parameters: Readonly<Record<string, Tensor>>,
  recompute: Recompute,
) => Tensor;

/** Persistent tensors that hold the values. */
export function place(device: Device, values: Readonly<Record<string, Values>>): Map<string, Tensor> {
  return new Map(
    Object.entries(values).map(([name, { shape, values }]) => {
      const buffer = device.allocate(values.byteLength);
      device.write(buffer, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      return [name, new Tensor("f32", shape, buffer)];
    }),
  );
}

/** A number that depends on all of a tensor, and on each element in its own way. */
export function weighted(s: Stream, y: Tensor, seed = 99): Tensor {
  const flat = y.reshape(1, y.elements);
  return sum(s, mul(s, flat, s.constant(new Random(seed).normals(y.elements), flat.shape)), [1, 1]);
}

/** Loss and gradients on a device. */
export async function gradientsOn(
  device: Device,
  values: Readonly<Record<string, Values>>,
  forward: Forward,
): Promise<{ loss: number; grads: ReadonlyMap<string, Float32Array> }> {
  const parameters = place(device, values);
  const s = new Stream(device);
  const taped = tape(s, parameters, (recompute) => forward(s, Object.fromEntries(parameters), recompute));
  const outputs = (await s.flush([taped.loss, ...taped.grads.values()])).map(
    (bytes) => new Float32Array(bytes.slice().buffer),
  );
  for (const { storage } of parameters.values()) device.free(storage as { id: number; bytes: number });
  return {
    loss: outputs[0]![0]!,
    grads: new Map([...taped.grads.keys()].map((name, i) => [name, outputs[i + 1]!])),
  };
}

export const largest = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((most, v) => Math.max(most, Math.abs(v)), 0);

/**
 * Checks the gradient of every element (or of `samples` of each parameter). Differences of f64 are good to some 1e-9, so
 * that 1e-6 of the element, or of what is 1e-4 of the parameter's largest, is a real bound.
 */
export async function checkDifferences(
  device: WideDevice,
  parameters: ReadonlyMap<string, Tensor>,
  forward: (s: Stream, recompute: Recompute) => Tensor,
  { samples = Infinity, step = 1e-5 } = {},
): Promise<void> {
  const both = new Stream(device);
  const { loss, grads } = tape(both, parameters, (recompute) => forward(both, recompute));
  await both.record([loss, ...grads.values()]).run();
  const analytic = new Map([...grads].map(([name, grad]) => [name, device.numbers(grad).slice()]));

  const alone = new Stream(device);
  const value = forward(alone, (work) => work());
  const recording = alone.record([value]);
  const at = async (): Promise<number> => {
    await recording.run();
    return device.numbers(value)[0]!;
  };
  const random = new Random(5);
  for (const [name, parameter] of parameters) {
    const [numbers, gradient] = [device.numbers(parameter), analytic.get(name)!];
    const scale = largest(gradient);
    expect(scale, `the gradient of ${name}`).toBeGreaterThan(0);
    for (const i of random.order(numbers.length).slice(0, samples)) {
      const before = numbers[i]!;
      const h = step * Math.max(1, Math.abs(before));
      numbers[i] = before + h;
      const above = await at();
      numbers[i] = before - h;
      const below = await at();
      numbers[i] = before;
      const numeric = (above - below) / (2 * h);
      const error = Math.abs(numeric - gradient[i]!);
      const bound = 1e-6 * Math.max(Math.abs(numeric), 1e-4 * scale) + 1e-9 * scale;
      expect(error, `${name}[${i}]: ${gradient[i]} by the tape, ${numeric} by differences`).toBeLessThan(
        bound,
      );
    }
  }
}

/** Checks the gradients of all elements of the given values. */
export async function checkGradients(
  values: Readonly<Record<string, Values>>,
  forward: Forward,
): Promise<void> {
  const device = new WideDevice();
  const parameters = place(device, values);
  const tensors = Object.fromEntries(parameters);
  await checkDifferences(device, parameters, (s, recompute) => forward(s, tensors, recompute));
}
