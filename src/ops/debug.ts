/** `FOVEA_DEBUG=1`: every op with its shapes, time and rates, as the device ran it. */
import type { Device } from "./device.ts";
import { eachTensor, type Op, priceOf } from "./registry.ts";

export const debugging = (): boolean =>
  typeof process !== "undefined" && process.env.FOVEA_DEBUG !== undefined && process.env.FOVEA_DEBUG !== "0";

/** One line for an op: kind, operands, microseconds, GB/s, GFLOP/s. */
export function describeOp(op: Op, nanoseconds: number): string {
  const operands: string[] = [];
  eachTensor(op, (tensor, written, field) => operands.push(`${written ? "→ " : ""}${field} ${tensor}`));
  const { bytes, operations } = priceOf(op);
  const rates = [
    `${(nanoseconds / 1e3).toFixed(1).padStart(9)} µs`,
    `${(bytes / nanoseconds).toFixed(2).padStart(7)} GB/s`,
    `${(operations / nanoseconds).toFixed(2).padStart(8)} GFLOP/s`,
  ];
  return `${op.kind.padEnd(13)} ${rates.join(" ")}  ${operands.join(", ")}`;
}

export function printOps(device: Device, ops: readonly Op[], nanoseconds: Float64Array): void {
  const lines = ops.map((op, i) => describeOp(op, nanoseconds[i] ?? 0));
  const total = nanoseconds.reduce((sum, ns) => sum + ns, 0);
  lines.push(
    `${"step".padEnd(13)} ${(total / 1e3).toFixed(1).padStart(9)} µs, ${ops.length} ops on ${device.name}`,
  );
  process.stderr.write(`${lines.join("\n")}\n`);
}
