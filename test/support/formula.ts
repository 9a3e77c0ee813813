/** Checkpoints whose weights are a formula of a seed, so that expected outputs can be kept without weights. */
import { readFileSync } from "node:fs";
import { type Checkpoint, elementCount, type TensorInfo, tensorOf } from "../../src/checkpoint/checkpoint.ts";
import type { Fields } from "../../src/checkpoint/config.ts";

/** Small models of many families, and what their original code makes of them. */
export interface Fixture {
  /** The code that the numbers come from. */
  readonly source: string;
  readonly config: ConstructorParameters<typeof Fields>[1];
  readonly seed: number;
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  readonly ids: readonly number[];
  /** The continuation of `ids`. */
  readonly greedy: readonly number[];
  /** Of the last position, before each block. */
  readonly hidden: readonly (readonly number[])[];
  /** Of the last position. */
  readonly logits: readonly number[];
}

/** The folder of fixtures. */
export const fixtures = new URL("../golden/fixtures/", import.meta.url);

export const readFixture = (file: string): Fixture =>
  JSON.parse(readFileSync(new URL(file, fixtures), "utf8")) as Fixture;

/**
 * `shapes` names tensors by their shapes; `a-b` between dots in a name stands for all numbers from a to b.
 * Element i of a tensor is u/4, and u/4 + 1 in vectors named `.weight` (norms), where u in [-1, 1) is made of
 * the upper 24 bits of `mix(i · 0x9e3779b9 + (seed xor FNV-1a(name)))`.
 */
export function formulaCheckpoint(
  seed: number,
  shapes: Readonly<Record<string, readonly number[]>>,
): Checkpoint {
  const path = `formula of the seed ${seed}`;
  const tensors = new Map<string, TensorInfo>();
  for (const [names, shape] of Object.entries(shapes))
    for (const name of expand(names)) tensors.set(name, { name, shape, format: "f32" });
  const bytes = (name: string): Uint8Array => {
    const { shape } = tensorOf(path, tensors, name);
    const plus = shape.length === 1 && name.endsWith(".weight") ? 1 : 0;
    const start = fnv(name) ^ seed;
    const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => {
      const u = (mix(Math.imul(i, 0x9e3779b9) + start) >>> 8) / 2 ** 23 - 1;
      return u / 4 + plus;
    });
    return new Uint8Array(values.buffer);
  };
  return {
    kind: "safetensors",
    path,
    tensors,
    metadata: new Map(),
    bytes,
    raw: bytes,
    release() {},
    close() {},
  };
}

function expand(names: string): string[] {
  const [range, from, to] = /(?<=\.)(\d+)-(\d+)(?=\.)/.exec(names) ?? [];
  if (range === undefined) return [names];
  const count = Number(to) - Number(from) + 1;
  return Array.from({ length: count }, (_, i) => names.replace(range, String(Number(from) + i))).flatMap(
    expand,
  );
}

/** FNV-1a, 32 bits, of ASCII text. */
function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return hash;
}

/** The last steps of MurmurHash3. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
