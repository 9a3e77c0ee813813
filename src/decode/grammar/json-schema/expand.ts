/**
 * From claims to normal form: references are followed, and what combines schemas is multiplied out, until only facts
 * about one value are left. Knows how schemas combine, and whether values fit; not how values are written.
 */
import { type Claim, refusal, type Schema, type SchemaDocument } from "./document.ts";
import {
  ARRAY,
  EVERY_TYPE,
  type Facts,
  INTEGER,
  NO_FACTS,
  NUMBER,
  OBJECT,
  STRING,
  sameValue,
  typeOf,
} from "./facts.ts";
import { negate } from "./negate.ts";
import type { SchemaReader } from "./read.ts";

/** More alternatives for one value are refused. */
const MAX_ALTERNATIVES = 2000;
/** Required properties in one another that are looked through for one that nothing fits. */
const SEARCH_DEPTH = 4;

/** Strings by their expressions, for values that a schema lists. */
export interface Strings {
  /** Whether any string matches all of these and has a length in these bounds. */
  possible(facts: Facts): boolean;
  matches(facts: Facts, text: string): boolean;
  /** Whether a key matches an expression over the content of strings. */
  keyMatches(key: string, content: number): boolean;
}

export const keyOf = (claims: readonly Claim[]): string =>
  [...new Set(claims.map(({ schema, holds }) => `${holds ? "+" : "-"}${schema.pointer}`))].sort().join("\n");

export class Expander {
  readonly #document: SchemaDocument;
  readonly #reader: SchemaReader;
  readonly #strings: Strings;
  readonly #known = new Map<string, readonly Facts[]>();
  /** Claims under way, to see schemas that refer to nothing but themselves. */
  readonly #open = new Set<string>();

  constructor(document: SchemaDocument, reader: SchemaReader, strings: Strings) {
    this.#document = document;
    this.#reader = reader;
    this.#strings = strings;
  }

  /** Facts of which one must hold, each satisfiable as far as that is quickly seen. */
  expand(claims: readonly Claim[]): readonly Facts[] {
    const key = keyOf(claims);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const found: Facts[] = [];
    this.#work([...claims], NO_FACTS, new Set(), found);
    this.#known.set(key, found);
    return found;
  }

  /** Takes the first claim off the list, and goes on with what it means. */
  #work(claims: readonly Claim[], facts: Facts, seen: ReadonlySet<string>, found: Facts[]): void {
    const [claim, ...others] = claims;
    if (claim === undefined) {
      if (found.length >= MAX_ALTERNATIVES)
        throw refusal(
          "",
          `combinations of anyOf, oneOf and if make more than ${MAX_ALTERNATIVES} alternatives`,
        );
      found.push(facts);
      return;
    }
    const { schema, holds } = claim;
    const key = keyOf([claim]);
    // What was claimed before is claimed already; a schema that refers to nothing but itself says nothing more.
    if (seen.has(key)) {
      this.#work(others, facts, seen, found);
      return;
    }
    const more = new Set([...seen, key]);
    if (typeof schema.value === "boolean") {
      if (schema.value === holds) this.#work(others, facts, more, found);
      return;
    }
    if (!holds) {
      for (const alternative of negate(this.#document, schema))
        this.#work([...alternative, ...others], facts, more, found);
      return;
    }
    const reading = this.#reader.read(schema, facts);
    if (!plausible(reading.facts)) return;
    let lists: Claim[][] = [[]];
    const multiply = (alternatives: readonly (readonly Claim[])[]): void => {
      lists = lists.flatMap((list) => alternatives.map((alternative) => [...list, ...alternative]));
      if (lists.length > MAX_ALTERNATIVES)
        throw refusal(
          schema.pointer,
          `combinations of anyOf, oneOf and if make more than ${MAX_ALTERNATIVES} alternatives`,
        );
    };
    for (const alternatives of reading.alternatives) multiply(alternatives);
    for (const branches of reading.exclusive) multiply(this.#oneOf(branches));
    for (const list of lists) this.#work([...list, ...others], reading.facts, more, found);
  }

  /** Each branch, without the others where they overlap. */
  #oneOf(branches: readonly Schema[]): Claim[][] {
    return branches.map((branch, i) => {
      const rivals = branches.filter((other, j) => j !== i && !this.#disjoint(branch, other));
      return [{ schema: branch, holds: true }, ...rivals.map((schema) => ({ schema, holds: false }))];
    });
  }

  #disjoint(a: Schema, b: Schema): boolean {
    const claims = [a, b].map((schema) => ({ schema, holds: true }));
    const key = keyOf(claims);
    if (this.#open.has(key)) return false;
    this.#open.add(key);
    try {
      return !this.satisfiable(claims);
    } finally {
      this.#open.delete(key);
    }
  }

  /** False where it is certain that no value fits. */
  satisfiable(claims: readonly Claim[], depth = 0): boolean {
    return depth > SEARCH_DEPTH || this.expand(claims).some((facts) => this.#possible(facts, depth));
  }

  #possible(facts: Facts, depth: number): boolean {
    if (facts.values !== undefined) return facts.values.some((value) => this.fits(value, facts));
    const { types, lower, upper } = facts;
    if (types & ~(NUMBER | STRING | ARRAY | OBJECT)) return true;
    if (types & NUMBER) {
      const empty =
        lower !== undefined &&
        upper !== undefined &&
        (lower.value > upper.value || (lower.value === upper.value && (lower.exclusive || upper.exclusive)));
      if (!empty) return true;
    }
    if (types & STRING && this.#strings.possible(facts)) return true;
    if (types & ARRAY && facts.minItems <= facts.maxItems) {
      const first = Array.from({ length: Math.min(facts.minItems, 16) }, (_, i) => itemClaims(facts, i));
      if (first.every((claims) => this.satisfiable(claims, depth + 1))) return true;
    }
    if (
      types & OBJECT &&
      facts.minProperties <= facts.maxProperties &&
      facts.required.size <= facts.maxProperties
    )
      return [...facts.required].every((key) => this.satisfiable(this.propertyClaims(facts, key), depth + 1));
    return false;
  }

  /** What is claimed of the value of a key. */
  propertyClaims(facts: Facts, key: string): Claim[] {
    const claims: Claim[] = [];
    for (const { properties, patterns, additional } of facts.objects) {
      const own = properties.get(key);
      const matching = patterns.filter((pattern) => this.#strings.keyMatches(key, pattern.key));
      if (own !== undefined) claims.push(own);
      for (const { claim } of matching) claims.push(claim);
      if (own === undefined && matching.length === 0 && additional !== undefined) claims.push(additional);
    }
    for (const names of facts.propertyNames)
      if (!this.accepts(key, [names]))
        claims.push({ schema: { value: false, pointer: "~never" }, holds: true });
    return claims;
  }

  accepts(value: unknown, claims: readonly Claim[]): boolean {
    return this.expand(claims).some((facts) => this.fits(value, facts));
  }

  /** Whether a value that a schema lists fits everything else that is claimed. */
  fits(value: unknown, facts: Facts): boolean {
    const type = typeOf(value);
    if ((facts.types & type) === 0) return false;
    if (facts.values !== undefined && !facts.values.some((v) => sameValue(v, value))) return false;
    if (facts.excluded.some((v) => sameValue(v, value))) return false;
    if (type & NUMBER) return fitsNumber(value as number, facts);
    if (type === STRING) return this.#strings.matches(facts, value as string);
    if (type === ARRAY) {
      const list = value as unknown[];
      return (
        list.length >= facts.minItems &&
        list.length <= facts.maxItems &&
        list.every((item, i) => this.accepts(item, itemClaims(facts, i))) &&
        facts.contains.every((claim) => list.some((item) => this.accepts(item, [claim])))
      );
    }
    if (type === OBJECT) {
      const entries = Object.entries(value as object);
      return (
        entries.length >= facts.minProperties &&
        entries.length <= facts.maxProperties &&
        [...facts.required].every((key) => Object.hasOwn(value as object, key)) &&
        entries.every(([key, item]) => this.accepts(item, this.propertyClaims(facts, key)))
      );
    }
    return true;
  }
}

export function itemClaims(facts: Facts, index: number): Claim[] {
  const claims: Claim[] = [];
  for (const { prefix, rest } of facts.arrays) {
    const claim = index < prefix.length ? prefix[index] : rest;
    if (claim !== undefined) claims.push(claim);
  }
  return claims;
}

const plausible = (facts: Facts): boolean =>
  (facts.types & EVERY_TYPE) !== 0 && (facts.values === undefined || facts.values.length > 0);

function fitsNumber(value: number, { types, lower, upper, multiples }: Facts): boolean {
  if (lower && (lower.exclusive ? value <= lower.value : value < lower.value)) return false;
  if (upper && (upper.exclusive ? value >= upper.value : value > upper.value)) return false;
  if (!Number.isInteger(value) && (types & ~INTEGER & NUMBER) === 0) return false;
  return multiples.every(({ of, holds }) => Number.isInteger(value / of) === holds);
}
