/**
 * What is claimed of one JSON value, sorted by what the value may be: the normal form to which schemas are brought.
 * A schema becomes a list of these, of which one must hold. Plain data; knows no keywords.
 */
import type { Expr } from "../regex/expressions.ts";
import type { Claim } from "./document.ts";
import type { Bound } from "./numbers.ts";

export const NULL = 1;
export const BOOLEAN = 2;
export const INTEGER = 4;
/** Numbers that are no integers. */
export const FRACTION = 8;
export const STRING = 16;
export const ARRAY = 32;
export const OBJECT = 64;
export const NUMBER = INTEGER | FRACTION;
export const EVERY_TYPE = 127;

export interface ArrayLayer {
  /** Claims on the first items. */
  readonly prefix: readonly Claim[];
  readonly rest: Claim | undefined;
}

export interface ObjectLayer {
  readonly properties: ReadonlyMap<string, Claim>;
  readonly patterns: readonly { readonly key: Expr; readonly claim: Claim }[];
  /** On the value of every key that is neither above. */
  readonly additional: Claim | undefined;
}

export interface Facts {
  readonly types: number;
  /** The only values, where they are listed. */
  readonly values: readonly unknown[] | undefined;
  readonly excluded: readonly unknown[];
  readonly lower: Bound | undefined;
  readonly upper: Bound | undefined;
  readonly multiples: readonly { readonly of: number; readonly holds: boolean }[];
  readonly minLength: number;
  readonly maxLength: number;
  /** What the content of a string must match, in its one spelling. */
  readonly patterns: readonly Expr[];
  readonly minItems: number;
  readonly maxItems: number;
  readonly arrays: readonly ArrayLayer[];
  readonly contains: readonly Claim[];
  readonly minProperties: number;
  readonly maxProperties: number;
  readonly required: ReadonlySet<string>;
  readonly objects: readonly ObjectLayer[];
  readonly propertyNames: readonly Claim[];
}

export const NO_FACTS: Facts = {
  types: EVERY_TYPE,
  values: undefined,
  excluded: [],
  lower: undefined,
  upper: undefined,
  multiples: [],
  minLength: 0,
  maxLength: Number.POSITIVE_INFINITY,
  patterns: [],
  minItems: 0,
  maxItems: Number.POSITIVE_INFINITY,
  arrays: [],
  contains: [],
  minProperties: 0,
  maxProperties: Number.POSITIVE_INFINITY,
  required: new Set(),
  objects: [],
  propertyNames: [],
};

export const withLower = (facts: Facts, bound: Bound): Facts => {
  const old = facts.lower;
  const tighter =
    old === undefined || bound.value > old.value || (bound.value === old.value && bound.exclusive);
  return tighter ? { ...facts, lower: bound } : facts;
};

export const withUpper = (facts: Facts, bound: Bound): Facts => {
  const old = facts.upper;
  const tighter =
    old === undefined || bound.value < old.value || (bound.value === old.value && bound.exclusive);
  return tighter ? { ...facts, upper: bound } : facts;
};

/** The type of a value, as a bit. */
export function typeOf(value: unknown): number {
  if (value === null) return NULL;
  if (typeof value === "boolean") return BOOLEAN;
  if (typeof value === "number") return Number.isInteger(value) ? INTEGER : FRACTION;
  if (typeof value === "string") return STRING;
  return Array.isArray(value) ? ARRAY : OBJECT;
}

export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) =>
        Object.hasOwn(b, key) &&
        sameValue((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  );
}
