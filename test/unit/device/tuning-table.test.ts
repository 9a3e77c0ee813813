/** The file of choices: what is written comes back; what is broken, foreign or outdated is told and not used. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  readTable,
  tablePath,
  thisMachine,
  tuningFolder,
  writeTable,
} from "../../../src/device/native/table.ts";
import type { TunedProduct } from "../../../src/ops/index.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const machine = thisMachine("amx", 2, "kernels of today");
const tuned: TunedProduct = {
  product: { format: "q4_0", m: 2048, k: 5632, experts: 0, gated: false, rows: 1, threads: 2 },
  choice: { ahead: 4096, panels: 0, step: 512, tiles: 0 },
  ...{ tokens: 1, before: 400_000, after: 380_000.5 },
};
const path = tablePath(folder, machine);

const read = (): { kept: readonly TunedProduct[]; said: string[] } => {
  const said: string[] = [];
  return { kept: readTable(path, machine, (message) => said.push(message)), said };
};

it("a table comes back as it was written, and leaves nothing beside it", () => {
  expect(read()).toEqual({ kept: [], said: [] });
  const other = { ...tuned, product: { ...tuned.product, experts: 8, gated: true } };
  writeTable(path, machine, [tuned, other]);
  expect(read()).toEqual({ kept: [tuned, other], said: [] });
  expect(readdirSync(folder)).toEqual(["tuning-amx-2.json"]);
  writeTable(path, machine, []);
  expect(read()).toEqual({ kept: [], said: [] });
});

describe("is not used, with a warning,", () => {
  it.each(["cpu", "isa", "threads", "kernels"] as const)("a table of another %s", (field) => {
    writeTable(path, { ...machine, [field]: field === "threads" ? 3 : "another" }, [tuned]);
    const { kept, said } = read();
    expect(kept).toEqual([]);
    expect(said).toEqual([
      expect.stringMatching(new RegExp(`${field}; it is not used. Run "fovea tune" again`)),
    ]);
  });

  it("a file cut off anywhere", () => {
    writeTable(path, machine, [tuned]);
    const text = readFileSync(path, "utf8").trimEnd();
    for (let length = 0; length < text.length; length += 7) {
      writeFileSync(path, text.slice(0, length));
      const { kept, said } = read();
      expect([kept, said.length]).toEqual([[], 1]);
    }
  });

  const edits: readonly (readonly [string, RegExp, string])[] = [
    ["of another version", /tuning 1/, "tuning 2"],
    ["with a negative look-ahead", /"ahead":4096/, '"ahead":-1'],
    ["with a look-ahead beyond all bounds", /"ahead":4096/, '"ahead":1e9'],
    ["with a step that is no multiple of 256", /"step":512/, '"step":300'],
    ["with a fraction", /"panels":0/, '"panels":0.5'],
    ["without one of the choices", /"tiles":0/, '"height":0'],
    ["with widths that there are not", /"tiles":0/, '"tiles":4'],
    ["of an unknown format", /q4_0/, "q9_9"],
    ["of a format that is a property of objects", /q4_0/, "toString"],
    ["with no rows", /"m":2048/, '"m":0'],
    ["with texts for numbers", /"k":5632/, '"k":"5632"'],
    ["with a time of nothing", /"before":400000/, '"before":0'],
    ["whose products are no list", /\[\n[^\]]*\]/, "{}"],
    ["whose machine is missing", /"machine": \{[^}]*\}/, '"machine": null'],
  ];
  it.each(edits)("a table %s", (_, from, to) => {
    writeTable(path, machine, [tuned]);
    const text = readFileSync(path, "utf8");
    const edited = text.replace(from, to);
    expect(edited).not.toBe(text);
    writeFileSync(path, edited);
    const { kept, said } = read();
    expect([kept, said.length]).toEqual([[], 1]);
  });

  it("a file of megabytes, and a folder", () => {
    writeFileSync(path, " ".repeat(2 << 20));
    expect(read().said).toEqual([expect.stringContaining("too large")]);
    const elsewhere = join(folder, "sub.json");
    mkdirSync(elsewhere);
    const said: string[] = [];
    expect(readTable(elsewhere, machine, (message) => said.push(message))).toEqual([]);
    expect(said).toHaveLength(1);
  });
});

it("a folder that cannot be written is refused by name", () => {
  writeFileSync(join(folder, "file"), "");
  expect(() => writeTable(join(folder, "file", "t.json"), machine, [tuned])).toThrow(
    /native: .*t\.json: cannot be written/,
  );
});

it("tables lie where the environment says", () => {
  expect(tuningFolder({ FOVEA_TUNING: "0" })).toBeUndefined();
  expect(tuningFolder({ FOVEA_TUNING: "/a" })).toBe("/a");
  expect(tuningFolder({ XDG_CACHE_HOME: "/c" })).toBe(join("/c", "fovea"));
});
