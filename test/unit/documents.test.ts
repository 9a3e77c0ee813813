/** What the documents say, as far as a machine can tell: their examples are TypeScript, and their links lead somewhere. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const documents = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "recipes/README.md"],
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const textOf = (path: string): string => readFileSync(join(root, path), "utf8");

/** What stands before examples that show a part of a program, by document and number. */
const before: Readonly<Record<string, string>> = {
  "add-a-model-0": `
    import { Fields } from "ROOT/src/checkpoint/config.ts";
    import type { Architecture } from "ROOT/src/models/architecture.ts";
    import { activationOf, assemble, dimensions, intermediate, rotary } from "ROOT/src/models/common.ts";
    import { projectedAttention, projectedMlp } from "ROOT/src/models/llama-like.ts";
    import { type Block, preNorm, type Rope, rmsNormLayer, type Weights } from "ROOT/src/nn/index.ts";`,
  "decoding-0": `
    import { Sampler, SamplingWorkspace, samplingFrom } from "ROOT/src/decode/sampling.ts";
    declare const vocabularySize: number, position: number, logits: Float32Array;
    declare const prompt: number[], generated: number[];`,
  "structured-output-0": `
    import type { ChatMessage, LanguageModel } from "fovea";
    declare const model: LanguageModel, messages: ChatMessage[];`,
  "training-3": `
    import type { Adjoint } from "ROOT/src/grad/adjoint.ts";
    import { scale } from "ROOT/src/ops/index.ts";`,
};

it("examples in TypeScript are right in every type", () => {
  mkdirSync(join(root, "build"), { recursive: true });
  const folder = mkdtempSync(join(root, "build", "examples-"));
  try {
    const names = documents.flatMap((path) =>
      [...textOf(path).matchAll(/```ts\n(.*?)```/gs)].map(([, code], i) => {
        const name = `${basename(path, ".md")}-${i}`;
        const head = (before[name] ?? "").replaceAll("ROOT", "../..");
        writeFileSync(join(folder, `${name}.ts`), `${head}\n${code}\nexport {};\n`);
        return name;
      }),
    );
    expect(names).toEqual(expect.arrayContaining(["README-0", "training-2", ...Object.keys(before)]));
    const paths = { fovea: ["../../src/index.ts"], "fovea/learn": ["../../src/learn/index.ts"] };
    const compilerOptions = { noEmit: true, rootDir: "../..", paths };
    const config = { extends: "../../tsconfig.json", compilerOptions, include: ["*.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    let problems = "";
    try {
      execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder]);
    } catch (error) {
      problems = String((error as { stdout?: Buffer }).stdout);
    }
    expect(problems).toBe("");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** As GitHub makes them. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\- ]/gu, "")
      .replaceAll(" ", "-"),
  );

/** Where a link of a document leads, from the root on, without its anchor; undefined when it leaves the project. */
const targetOf = (path: string, link: string): string | undefined => {
  if (/^https?:/.test(link)) return undefined;
  const file = link.split("#")[0]!;
  return file === "" ? path : normalize(join(dirname(path), file));
};

it("documents in the package link to what is in the package", () => {
  const pack = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const [{ files }] = JSON.parse(execFileSync("npm", pack, { cwd: root, encoding: "utf8" })) as [
    { readonly files: readonly { readonly path: string }[] },
  ];
  const packed = files.map(({ path }) => path);
  const shipped = packed.filter((path) => path.endsWith(".md"));
  expect(shipped).toEqual(expect.arrayContaining(["README.md", "docs/cli.md", "models/default/README.md"]));
  const dead = shipped.flatMap((path) =>
    [...textOf(path).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => ({ link, target: targetOf(path, link!) }))
      .filter(({ target }) => target && !packed.some((one) => one === target || one.startsWith(`${target}/`)))
      .map(({ link }) => `${path}: ${link}`),
  );
  expect(dead).toEqual([]);
});

it.each(documents)("links of %s lead to files and headings that are there", (path) => {
  const text = textOf(path);
  const dead = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => {
      const target = targetOf(path, link);
      if (target === undefined) return false;
      const anchor = link.split("#")[1];
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && target.endsWith(".md") && !anchorsOf(textOf(target)).includes(anchor);
    });
  expect(dead).toEqual([]);
  const named = [...text.matchAll(/`((?:src|test|bench|kernels|recipes|scripts|docs|models)\/[\w./-]+)`/g)];
  const absent = named.map(([, name]) => name!).filter((name) => !existsSync(join(root, name)));
  // What npm makes need not be there yet.
  expect(absent.filter((name) => !name.includes("node_modules"))).toEqual([]);
});
