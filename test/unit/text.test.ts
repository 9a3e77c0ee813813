/** The project's text holds on any machine: no paths of the one it was written on, no package registry. */
import { expect, it } from "vitest";
import { filesUnder, readSource } from "../support/sources.ts";

/** Put together from parts, so that this file does not hold what it looks for. */
const forbidden: readonly RegExp[] = [
  ...["work", "home", "Users", "root"].map((folder) => new RegExp(`(?<![\\w.~)}\\]-])/${folder}/`)),
  new RegExp(`C:${"\\\\"}`),
  new RegExp(`\\bregistry${"\\."}(?!tsx?\\b)[a-z-]+${"\\."}[a-z]+`),
  new RegExp(`"resolved"${":"}`),
];
const text =
  /\.(?:[cm]?[jt]sx?|json|md|cc|cpp|h|hpp|html|css|ya?ml|gyp|npmrc|editorconfig|sh)$|(?:^|\/)[^.]+$/;

it("names no machine paths and no registry", () => {
  const found = filesUnder(".")
    .filter((path) => text.test(path))
    .flatMap((path) =>
      readSource(path)
        .split("\n")
        .flatMap((line, i) =>
          forbidden.some((pattern) => pattern.test(line)) ? [`${path}:${i + 1}: ${line.trim()}`] : [],
        ),
    );
  expect(found).toEqual([]);
});

it("finds them where they are", () => {
  const lines = [
    `see ${"/"}work/main`,
    `"${"/"}home/me/x"`,
    `https://registry${"."}example.org/`,
    `"resolved"${":"} ""`,
  ];
  for (const line of lines)
    expect(
      forbidden.some((pattern) => pattern.test(line)),
      line,
    ).toBe(true);
  for (const line of ['from "./registry.ts"', "a/work/b", "the registry. Then"])
    expect(
      forbidden.some((pattern) => pattern.test(line)),
      line,
    ).toBe(false);
});
