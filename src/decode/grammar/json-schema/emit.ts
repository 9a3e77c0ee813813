/**
 * From facts about a value to a grammar of the texts that JSON writes such values as. Properties come in the order in
 * which the schema names them, then required ones that it does not name, then others.
 */
import type { GrammarNodes, NodeId } from "../nodes.ts";
import type { Expr } from "../regex/expressions.ts";
import { type Claim, refusal } from "./document.ts";
import { type Expander, itemClaims, keyOf } from "./expand.ts";
import {
  ARRAY,
  BOOLEAN,
  type Facts,
  FRACTION,
  INTEGER,
  NULL,
  NUMBER,
  OBJECT,
  STRING,
  sameValue,
  typeOf,
} from "./facts.ts";
import { NumberExpressions } from "./numbers.ts";
import { ObjectEmitter } from "./objects.ts";
import type { SchemaStrings } from "./strings.ts";
import type { JsonText } from "./text.ts";

export class Emitter {
  readonly nodes: GrammarNodes;
  readonly text: JsonText;
  readonly expander: Expander;
  readonly strings: SchemaStrings;
  readonly #numbers: NumberExpressions;
  readonly #objects = new ObjectEmitter(this);
  /** Nodes by what is claimed; null while one is made. */
  readonly #made = new Map<string, NodeId | null>();
  /** Rules of those that were needed while they were made. */
  readonly #rules = new Map<string, NodeId>();

  constructor(nodes: GrammarNodes, text: JsonText, expander: Expander, strings: SchemaStrings) {
    this.nodes = nodes;
    this.text = text;
    this.expander = expander;
    this.strings = strings;
    this.#numbers = new NumberExpressions(text.expressions);
  }

  /** The texts of the values of which all this is claimed. */
  value(claims: readonly Claim[]): NodeId {
    const key = keyOf(claims);
    const made = this.#made.get(key);
    if (made === null) {
      const rule = this.#rules.get(key) ?? this.nodes.rule(key);
      this.#rules.set(key, rule);
      return rule;
    }
    if (made !== undefined) return made;
    this.#made.set(key, null);
    const node = this.#choice(this.expander.expand(claims));
    const rule = this.#rules.get(key);
    if (rule !== undefined) this.nodes.define(rule, node);
    this.#made.set(key, rule ?? node);
    return rule ?? node;
  }

  #choice(alternatives: readonly Facts[]): NodeId {
    const words: string[] = [];
    const terminals: Expr[] = [];
    const others: NodeId[] = [];
    for (const facts of alternatives) {
      if (facts.values !== undefined) {
        for (const value of facts.values) {
          if (!this.expander.fits(value, facts)) continue;
          if (typeOf(value) & (ARRAY | OBJECT)) others.push(this.#constant(value));
          else words.push(JSON.stringify(value));
        }
        continue;
      }
      terminals.push(this.#scalars(facts));
      if (facts.types & ARRAY) others.push(this.#array(facts));
      if (facts.types & OBJECT) {
        this.#excludeNone(facts, OBJECT, "objects");
        others.push(this.#objects.emit(facts));
      }
    }
    if (words.length > 0) terminals.push(this.text.words(words));
    return this.nodes.choice([this.nodes.terminal(this.text.expressions.or(terminals)), ...others]);
  }

  #excludeNone(facts: Facts, type: number, what: string): void {
    if (facts.excluded.some((value) => typeOf(value) & type))
      throw refusal("", `a schema in "not" (or like it) excludes single ${what}, which is not supported`);
  }

  /** Null, booleans, numbers and strings. */
  #scalars(facts: Facts): Expr {
    const e = this.text.expressions;
    const excluded = (value: unknown): boolean => facts.excluded.some((v) => sameValue(v, value));
    const parts: Expr[] = [];
    const words: string[] = [];
    if (facts.types & NULL && !excluded(null)) words.push("null");
    if (facts.types & BOOLEAN)
      for (const value of [true, false]) if (!excluded(value)) words.push(String(value));
    if (words.length > 0) parts.push(this.text.words(words));
    if (facts.types & NUMBER) parts.push(this.#number(facts));
    if (facts.types & STRING) parts.push(this.text.quoted(this.strings.content(facts)));
    return e.or(parts);
  }

  #number(facts: Facts): Expr {
    const e = this.text.expressions;
    const { types, lower, upper, multiples, excluded } = facts;
    const range = { lower, upper };
    const numbers = excluded.filter((value) => typeof value === "number");
    const plain = multiples.length > 0 || numbers.length > 0;
    const parts: Expr[] = [];
    if ((types & NUMBER) === NUMBER)
      parts.push(plain ? this.#numbers.plain(range) : this.#numbers.number(range));
    else if (types & INTEGER) parts.push(this.#numbers.integer(range));
    else if (types & FRACTION) parts.push(this.#numbers.fractional(range));
    for (const { of, holds } of multiples) {
      const multiple = this.#numbers.multipleOf(of);
      if (multiple === undefined) throw refusal("", `multipleOf ${of} has too many digits`);
      parts.push(holds ? multiple : e.not(multiple));
    }
    for (const value of numbers) parts.push(e.not(this.#numbers.equals(value)));
    return e.and(parts);
  }

  #constant(value: unknown): NodeId {
    const { nodes, text } = this;
    const t = (e: Expr): NodeId => nodes.terminal(e);
    if (Array.isArray(value)) {
      if (value.length === 0) return nodes.sequence([t(text.open.array), t(text.words(["]"]))]);
      const items = value.flatMap((item, i) => [...(i > 0 ? [t(text.comma)] : []), this.#constant(item)]);
      return nodes.sequence([t(text.open.array), ...items, t(text.close.array)]);
    }
    if (typeof value !== "object" || value === null) return t(text.words([JSON.stringify(value)]));
    const entries = Object.entries(value);
    if (entries.length === 0) return nodes.sequence([t(text.open.object), t(text.words(["}"]))]);
    const members = entries.flatMap(([key, item], i) => [
      ...(i > 0 ? [t(text.comma)] : []),
      t(text.words([JSON.stringify(key)])),
      t(text.colon),
      this.#constant(item),
    ]);
    return nodes.sequence([t(text.open.object), ...members, t(text.close.object)]);
  }

  #array(facts: Facts): NodeId {
    const { nodes, text } = this;
    this.#excludeNone(facts, ARRAY, "arrays");
    const { minItems: min, maxItems: max } = facts;
    if (max < min) return nodes.nothing;
    const comma = nodes.terminal(text.comma);
    const open = nodes.terminal(text.open.array);
    const shut = nodes.terminal(text.close.array);
    const none = min === 0 ? nodes.sequence([open, nodes.terminal(text.words(["]"]))]) : nodes.nothing;
    if (max === 0) return none;
    const prefix = facts.arrays.reduce((most, layer) => Math.max(most, layer.prefix.length), 0);
    const rest = this.value(itemClaims(facts, prefix));
    const wrapped = (items: NodeId): NodeId => nodes.sequence([open, items, shut]);
    if (facts.contains.length > 0) {
      if (facts.contains.length > 1 || prefix > 0 || min > 1 || max < Number.POSITIVE_INFINITY)
        throw refusal(
          facts.contains[0]!.schema.pointer,
          'the keyword "contains" is supported once, without prefixItems, maxItems, or minItems above 1',
        );
      const wanted = this.value([...itemClaims(facts, 0), facts.contains[0]!]);
      const before = nodes.repeat(nodes.sequence([rest, comma]), 0);
      return wrapped(nodes.sequence([before, wanted, nodes.repeat(nodes.sequence([comma, rest]), 0)]));
    }
    /** Items from the index on, the first of which is not the array's first. */
    const more = (index: number): NodeId => {
      const ends = index >= min ? nodes.empty : nodes.nothing;
      if (index >= max) return ends;
      if (index >= prefix)
        return nodes.repeat(nodes.sequence([comma, rest]), Math.max(0, min - index), max - index);
      const item = this.value(itemClaims(facts, index));
      return nodes.choice([ends, nodes.sequence([comma, item, more(index + 1)])]);
    };
    const first = prefix > 0 ? this.value(itemClaims(facts, 0)) : rest;
    return nodes.choice([none, wrapped(nodes.sequence([first, more(1)]))]);
  }
}
