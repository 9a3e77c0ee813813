/**
 * The keywords of the JSON Schema drafts: which only describe, which are not supported and why. Those that are
 * supported are read in read.ts.
 */

/** They say nothing about which values are valid. */
export const ANNOTATIONS: ReadonlySet<string> = new Set([
  "$schema",
  "$id",
  "id",
  "$anchor",
  "$comment",
  "$defs",
  "definitions",
  "$vocabulary",
  "title",
  "description",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "contentMediaType",
  "contentEncoding",
  "contentSchema",
  // OpenAPI's, which describe too.
  "externalDocs",
  "xml",
  "discriminator",
]);

/** Keywords of the drafts that could decide about a value, with the reason for which they are refused. */
export const REFUSED: Readonly<Record<string, string>> = {
  uniqueItems: "an automaton cannot compare the items of a list with one another",
  unevaluatedItems: "is supported as true only; use items: false behind prefixItems",
  unevaluatedProperties:
    "is supported without $ref, allOf, anyOf, oneOf, if and dependentSchemas beside it; use additionalProperties",
  minContains: "is supported as 1 only",
  maxContains: "is not supported",
  $dynamicRef: "is not supported; use $ref",
  $dynamicAnchor: "is not supported; use $anchor",
  $recursiveRef: "is not supported; use $ref",
  $recursiveAnchor: "is not supported; use $anchor",
  extends: "is of a draft before 4; use allOf",
  disallow: "is of a draft before 4; use not",
  divisibleBy: "is of a draft before 4; use multipleOf",
};

/** Keywords by which a negation says what JSON Schema has no words for; no document can write them. */
export const INTERNAL = {
  fraction: "~fraction",
  excluded: "~excluded",
  notMultiple: "~notMultiple",
  notPattern: "~notPattern",
  notFormat: "~notFormat",
} as const;
