/**
 * Bytes and operations of a plan of ops: the sum of their prices, but attention exactly, for the pairs of queries and
 * keys that meet (a price counts every key for every query, and causal attention has half of them in a new text).
 */

/**
 * @param {import("../src/ops/index.ts").Plan} plan
 * @param {typeof import("../src/ops/index.ts").priceOf} priceOf
 */
export function countPlan(plan, priceOf) {
  const total = { bytes: 0, operations: 0 };
  for (const op of plan.ops) {
    const { bytes, operations } = priceOf(op);
    total.bytes += bytes;
    total.operations += op.kind === "attend" ? attendOperations(op, plan) : operations;
  }
  return total;
}

function attendOperations({ q, values, spans, causal }, { uploads }) {
  const { bytes } = uploads.find(({ slot }) => slot === spans.storage.slot);
  const numbers = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let pairs = 0;
  for (let i = 0; i < numbers.length; i += 3) {
    const [, rows, start] = numbers.subarray(i, i + 3);
    pairs += rows * start + (causal === 0 ? rows * rows : (rows * (rows + 1)) / 2);
  }
  return 2 * q.dim(1) * (q.dim(2) + values.dim(3)) * pairs;
}
