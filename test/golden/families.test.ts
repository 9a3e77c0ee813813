/**
 * Does each family compute what its original code computes, also where published checkpoints differ from the
 * plain case: windows, scalings of positions, biases, ties, norms on q and k? The fixtures name the original.
 */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Fields } from "../../src/checkpoint/config.ts";
import { loadModel } from "../../src/models/index.ts";
import { subjects } from "../support/devices.ts";
import { fixtures, formulaCheckpoint, readFixture } from "../support/formula.ts";
import { forwardAll, greedy, relativeError } from "../support/models.ts";

const bound = 2e-5;

for (const { name: deviceName, open } of subjects)
  describe(`families on ${deviceName}`, () => {
    for (const file of readdirSync(fixtures)) {
      it(file.replace(".json", ""), async () => {
        const fixture = readFixture(file);
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
