/**
 * The stream of a training step. Where the model asks for a weight, its copy is read; products round their operands
 * to bf16 where that was asked for, on the way forth and back. Models and the tape push what they always push.
 */
import {
  type Device,
  eachTensor,
  matmul,
  type Op,
  type Precision,
  Stream,
  type Tensor,
} from "../ops/index.ts";

type Linear = Extract<Op, { kind: "linear" }>;

export class LearningStream extends Stream {
  private readonly precision: Precision;
  private readonly copies: ReadonlyMap<Tensor, Tensor>;

  /** @param copies what is read in place of a weight */
  constructor(device: Device, precision: Precision, copies: ReadonlyMap<Tensor, Tensor> = new Map()) {
    super(device);
    this.precision = precision;
    this.copies = copies;
  }

  override push(asked: Op): void {
    const op = this.withCopies(asked);
    if (this.precision === "f32") super.push(op);
    else if (op.kind === "matmul") super.push({ ...op, precision: this.precision });
    else if (op.kind === "linear" && op.weight.layout === "rows" && isFloat(op.weight)) this.pushLinear(op);
    else super.push(op);
  }

  private pushLinear({ x, weight, bias, y }: Linear): void {
    const options = { transposeB: true, y: y.reshape(1, ...y.shape) };
    if (!bias) matmul(this, x, weight, options);
    else {
      const a = matmul(this, x, weight, { transposeB: true });
      super.push({ kind: "add", a, b: bias.reshape(1, bias.elements), y });
    }
  }

  private withCopies(op: Op): Op {
    const changed: Record<string, Tensor> = {};
    let writesWeight = false;
    eachTensor(op, (tensor, written, field) => {
      const copy = this.copies.get(tensor);
      if (copy && written) writesWeight = true;
      if (copy) changed[field] = copy;
    });
    // The optimizer speaks of the weights themselves.
    return writesWeight ? op : ({ ...op, ...changed } as Op);
  }
}

const isFloat = ({ dtype }: Tensor): boolean => dtype === "f32" || dtype === "bf16";
