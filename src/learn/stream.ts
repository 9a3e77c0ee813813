/**
 * The stream of a training step: where the model asks for a weight, or a view of it, its copy is read. Models and the
 * tape push what they always push.
 */
import { type Device, eachTensor, type Op, Stream, type StreamOptions, Tensor } from "../ops/index.ts";
import type { Parameter } from "./parameters.ts";

export class LearningStream extends Stream {
  /** By the memory of the weight. */
  private readonly copies = new Map<Tensor["storage"], Parameter>();

  constructor(device: Device, parameters: Iterable<Parameter>, options: StreamOptions = {}) {
    super(device, options);
    for (const parameter of parameters)
      if (parameter.used !== parameter.weight) this.copies.set(parameter.weight.storage, parameter);
  }

  /** From now on weights are meant themselves: the optimizer has its turn. */
  endCopies(): void {
    this.copies.clear();
  }

  override push(op: Op): void {
    const changed: Record<string, Tensor> = {};
    eachTensor(op, (tensor, _, field) => {
      const parameter = this.copies.get(tensor.storage);
      if (parameter) changed[field] = viewOfCopy(tensor, parameter);
    });
    super.push({ ...op, ...changed } as Op);
  }
}

function viewOfCopy(tensor: Tensor, { weight, used }: Parameter): Tensor {
  const element = used.dtype === "bf16" ? 2 : 4;
  const offset = used.offset + ((tensor.offset - weight.offset) / 4) * element;
  return new Tensor(used.dtype, tensor.shape, used.storage, { offset });
}
