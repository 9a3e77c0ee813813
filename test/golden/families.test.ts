/**
 * Does each family compute what its original code computes, also where published checkpoints differ from the
 * plain case: windows, scalings of positions, biases, ties, norms on q and k? The fixtures name the original.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Fields } from "../../src/checkpoint/config.ts";
import { loadModel } from "../../src/models/index.ts";
import { subjects } from "../support/devices.ts";
import { formulaCheckpoint } from "../support/formula.ts";
import { forwardAll, greedy, relativeError } from "../support/models.ts";

interface Fixture {
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

const folder = new URL("fixtures/", import.meta.url);
const bound = 2e-5;

for (const { name: deviceName, open } of subjects)
  describe(`families on ${deviceName}`, () => {
    for (const file of readdirSync(folder)) {
      it(file.replace(".json", ""), async () => {
        const fixture = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Fixture;
        const { ids } = fixture;
        const device = await open(2);
        const checkpoint = formulaCheckpoint(fixture.seed, fixture.tensors);
        const model = await loadModel(checkpoint, new Fields(file, fixture.config), device);

        const { hidden, logits } = await forwardAll(model, [ids]);
        const last = (rows: Float32Array): Float32Array => rows.subarray(-rows.length / ids.length);
        for (const [i, row] of fixture.hidden.entries())
          expect(relativeError(last(hidden[i]!), Float32Array.from(row)), `hidden ${i}`).toBeLessThan(bound);
        expect(relativeError(last(logits), Float32Array.from(fixture.logits)), "logits").toBeLessThan(bound);

        expect(await greedy(model, ids, fixture.greedy.length)).toEqual(fixture.greedy);
        await device.close();
      });
    }
  });
