/** The house stands: a room imports only from floors below it, no files import in a circle. */
import { describe, expect, it } from "vitest";
import { filesUnder, type Import, importsOf, readSource } from "../support/sources.ts";

/** From the ground up. Rooms of one floor do not know each other. */
const floors: readonly (readonly string[])[] = [
  ["base"],
  ["checkpoint", "format"],
  ["ops"],
  ["device", "grad", "pricing"],
  ["nn", "cache"],
  ["models"],
  ["decode"],
  ["methods", "learn"],
  ["engine", "cluster"],
  ["tasks"],
  ["cli", "serve", "web"],
];
/** Who may enter the room next door: tensors know their formats, layers their caches, `fovea serve` the server. */
const doors = ["checkpoint → format", "nn → cache", "cli → serve"];
/** Rooms that a page uses too. */
const browserRooms = ["ops", "nn", "cache", "models", "decode", "format", "web"];

const roomOf = (path: string): string => (path.split("/").length > 2 ? path.split("/")[1]! : "");
const floorOf = (path: string): number =>
  roomOf(path) === "" ? floors.length : floors.findIndex((rooms) => rooms.includes(roomOf(path)));

/** What is wrong with an import, or undefined. */
function fault(from: string, to: string): string | undefined {
  if (!to.startsWith("src/")) return `${from} imports ${to}, outside src`;
  if (floorOf(to) > floorOf(from)) return `${from} imports upward: ${to}`;
  const sideways = floorOf(to) === floorOf(from) && roomOf(to) !== roomOf(from);
  if (sideways && !doors.includes(`${roomOf(from)} → ${roomOf(to)}`))
    return `${from} imports from a room of its own floor: ${to}`;
  return undefined;
}

/** Circles among modules: each as the path that closes it. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (module: string, path: readonly string[]): void => {
    if (state.get(module) === "done") return;
    if (state.get(module) === "open") {
      found.push([...path.slice(path.indexOf(module)), module].join(" → "));
      return;
    }
    state.set(module, "open");
    for (const next of graph.get(module) ?? []) visit(next, [...path, module]);
    state.set(module, "done");
  };
  for (const module of graph.keys()) visit(module, []);
  return found;
}

const modules = filesUnder("src").filter((path) => /\.tsx?$/.test(path));
const imports = new Map<string, readonly Import[]>(
  modules.map((path) => [path, importsOf(path, readSource(path))]),
);
const lasting = new Map(
  [...imports].map(([path, list]) => [path, list.filter((i) => !i.typeOnly).map(({ target }) => target)]),
);

describe("src", () => {
  it("has modules, each in a known room", () => {
    expect(modules.length).toBeGreaterThan(50);
    expect(modules.filter((path) => floorOf(path) < 0)).toEqual([]);
  });

  it("imports files that exist", () => {
    const missing = [...imports].flatMap(([path, list]) =>
      list
        .filter(({ target }) => /^src\/.*\.tsx?$/.test(target) && !imports.has(target))
        .map(({ target }) => `${path} → ${target}`),
    );
    expect(missing).toEqual([]);
  });

  it("imports only from floors below", () => {
    const faults = [...imports].flatMap(([path, list]) =>
      list
        .filter(({ target }) => /\.tsx?$/.test(target))
        .map(({ target }) => fault(path, target))
        .filter((problem) => problem !== undefined),
    );
    expect(faults).toEqual([]);
  });

  it("has no circle of imports", () => {
    expect(circles(lasting)).toEqual([]);
  });

  it("keeps Node out of what a page uses", () => {
    const faults = [...imports].flatMap(([path, list]) =>
      browserRooms.includes(roomOf(path)) || path.startsWith("src/device/reference")
        ? list.filter(({ target }) => target.startsWith("node:")).map(({ target }) => `${path} → ${target}`)
        : [],
    );
    expect(faults).toEqual([]);
  });
});

describe("the check itself", () => {
  const importsIn = (text: string): Import[] => importsOf("src/nn/a.ts", text);

  it("sees every form of import", () => {
    const text = [
      'import { a } from "../ops/index.ts";',
      'import type { B } from "../base/errors.ts";',
      "import {\n  c,\n  type D,\n} from './c.ts';",
      'export { e } from "./e.ts";',
      'export * from "./f.ts";',
      'export type { G } from "./g.ts";',
      'import "./h.ts";',
      'const i = await import("./i.ts");',
      'new Worker(new URL("./j.ts", import.meta.url));',
      'import { k } from "node:fs";',
    ];
    expect(importsIn(text.join("\n"))).toHaveLength(text.length);
    expect(importsIn(text[0]!)).toEqual([{ target: "src/ops/index.ts", typeOnly: false }]);
    expect(importsIn(text[1]!)).toEqual([{ target: "src/base/errors.ts", typeOnly: true }]);
    expect(importsIn(text[2]!)).toEqual([{ target: "src/nn/c.ts", typeOnly: false }]);
    expect(importsIn(text[9]!)).toEqual([{ target: "node:fs", typeOnly: false }]);
  });

  it("refuses what it must", () => {
    expect(fault("src/ops/a.ts", "src/device/b.ts")).toMatch(/upward/);
    expect(fault("src/format/a.ts", "src/checkpoint/b.ts")).toMatch(/own floor/);
    expect(fault("src/checkpoint/a.ts", "src/format/b.ts")).toBeUndefined();
    expect(fault("src/device/a.ts", "src/pricing/b.ts")).toMatch(/own floor/);
    expect(fault("src/tasks/a.ts", "src/index.ts")).toMatch(/upward/);
    expect(fault("src/index.ts", "src/cli/main.ts")).toBeUndefined();
    expect(fault("src/nn/a.ts", "test/b.ts")).toMatch(/outside/);
    expect(
      circles(
        new Map([
          ["a", ["b"]],
          ["b", ["c"]],
          ["c", ["b"]],
        ]),
      ),
    ).toEqual(["b → c → b"]);
  });
});
