/**
 * The stream of a training step: where the model asks for a weight, its copy is read. Models and the tape push what
 * they always push.
 */
import { type Device, eachTensor, type Op, Stream, type StreamOptions, type Tensor } from "../ops/index.ts";

export class LearningStream extends Stream {
  /** What is read in place of a weight; empty from when the optimizer, which speaks of weights themselves, has its turn. */
  copies: ReadonlyMap<Tensor, Tensor>;

  constructor(device: Device, copies: ReadonlyMap<Tensor, Tensor>, options: StreamOptions = {}) {
    super(device, options);
    this.copies = copies;
  }

  override push(op: Op): void {
    const changed: Record<string, Tensor> = {};
    eachTensor(op, (tensor, _, field) => {
      const copy = this.copies.get(tensor);
      if (copy) changed[field] = copy;
    });
    super.push({ ...op, ...changed } as Op);
  }
}
