/** What TypeScript and C++ must say alike: kinds of op, dtypes, functions, the tile of keys. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { dtypeCodes, opNamesOf } from "../../../src/device/encode.ts";
import { activations, definitions, KEY_RUN, KEY_TILE } from "../../../src/ops/index.ts";

const source = (name: string): string =>
  readFileSync(new URL(`../../../kernels/${name}`, import.meta.url), "utf8");

/** The names between the braces of an enum. */
const members = (text: string, name: string): string[] =>
  text
    .match(new RegExp(`enum class ${name}[^{]*\\{([^}]*)\\}`))![1]!
    .split(",")
    .map((member) => member.trim());

it("kinds of op have the same fields", () => {
  const list = [...source("commands.h").matchAll(/^ {2}X\((\w+), (\d+), (\d+)\)/gm)];
  expect(list.map(([, kind]) => kind).sort()).toEqual(Object.keys(definitions).sort());
  const written = list.map(([, kind, tensors, numbers]) => `${kind} ${tensors} ${numbers},`).join("");
  expect(opNamesOf("test", written)).toEqual(list.map(([, kind]) => kind));
});

it("a library of other definitions is refused", () => {
  expect(() => opNamesOf("test", "add 3 0,")).toThrow(
    /test: the library has no op "\w+ \d \d"; build it again/,
  );
});

it("dtypes, functions and the tile of keys are the same", () => {
  const dtypes = Object.entries(dtypeCodes).sort(([, a], [, b]) => a - b);
  expect(members(source("commands.h"), "DType")).toEqual(dtypes.map(([name]) => name));
  expect(members(source("ops/elementwise.h"), "Function")).toEqual([...activations]);
  expect(source("attend/shape.h")).toContain(`int tile = ${KEY_TILE};`);
  expect(source("ops/cached.h")).toContain(`int run_keys = ${KEY_RUN};`);
});
