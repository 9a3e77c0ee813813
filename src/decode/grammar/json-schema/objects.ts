/**
 * Objects: which keys may come, in which order, and how many. Required keys cannot be passed over; keys that no
 * schema names come last.
 */
import type { NodeId } from "../nodes.ts";
import { type Expr, NOTHING } from "../regex/expressions.ts";
import { type Claim, refusal } from "./document.ts";
import type { Emitter } from "./emit.ts";
import { type Facts, STRING } from "./facts.ts";

/** Every set of these patterns that a key may match is looked at: 2 to the power of their number. */
const MAX_PATTERNS = 8;
/** Rules for one object at most, where its properties are counted. */
const MAX_COUNTED = 20_000;

interface Property {
  readonly required: boolean;
  /** Key, colon and value. */
  readonly member: NodeId;
}

export class ObjectEmitter {
  readonly #emitter: Emitter;

  constructor(emitter: Emitter) {
    this.#emitter = emitter;
  }

  emit(facts: Facts): NodeId {
    const { nodes, text } = this.#emitter;
    const names = new Set([
      ...facts.objects.flatMap(({ properties }) => [...properties.keys()]),
      ...facts.required,
    ]);
    const properties: Property[] = [];
    for (const name of names) {
      const member = this.#member(text.words([JSON.stringify(name)]), this.#propertyClaims(facts, name));
      const required = facts.required.has(name);
      if (member !== nodes.nothing) properties.push({ required, member });
      else if (required) return nodes.nothing;
    }
    const other = this.#others(facts, names);
    const open = nodes.terminal(text.open.object);
    const shut = nodes.terminal(text.close.object);
    const nothing = nodes.sequence([open, nodes.terminal(text.words(["}"]))]);
    const needsNone = facts.minProperties === 0 && !properties.some(({ required }) => required);
    const some = this.#members(facts, properties, other);
    return nodes.choice([needsNone ? nothing : nodes.nothing, nodes.sequence([open, some, shut])]);
  }

  #propertyClaims(facts: Facts, name: string): readonly Claim[] {
    return this.#emitter.expander.propertyClaims(facts, name);
  }

  #member(key: Expr, claims: readonly Claim[]): NodeId {
    const { nodes, text } = this.#emitter;
    if (key === NOTHING) return nodes.nothing;
    return nodes.sequence([nodes.terminal(key), nodes.terminal(text.colon), this.#emitter.value(claims)]);
  }

  /** At least one member. */
  #members(facts: Facts, properties: readonly Property[], other: NodeId): NodeId {
    const { nodes, text } = this.#emitter;
    const { minProperties: min, maxProperties: max } = facts;
    const comma = nodes.terminal(text.comma);
    const counts = min > 1 || max < Number.POSITIVE_INFINITY;
    if (counts && properties.length * Math.min(max, properties.length) > MAX_COUNTED)
      throw refusal("", "minProperties and maxProperties are not supported with so many properties");
    const free = nodes.sequence([comma, other]);
    const known = new Map<string, NodeId>();
    /** Members from the index on, when `count` are written (all that matters is whether any is, unless they count). */
    const from = (index: number, count: number): NodeId => {
      if (count > max) return nodes.nothing;
      const key = `${index},${count}`;
      const made = known.get(key);
      if (made !== undefined) return made;
      const node = this.#from(facts, properties, index, count, other, free, (i, c) =>
        from(i, counts ? c : Math.min(c, 1)),
      );
      known.set(key, node);
      return node;
    };
    // From the end, so that long lists of properties do not recurse.
    for (let i = properties.length; i > 0; i--)
      for (let c = 0; c <= (counts ? Math.min(i, max) : 1); c++) from(i, c);
    return from(0, 0);
  }

  #from(
    { minProperties: min, maxProperties: max }: Facts,
    properties: readonly Property[],
    index: number,
    count: number,
    other: NodeId,
    free: NodeId,
    from: (index: number, count: number) => NodeId,
  ): NodeId {
    const { nodes, text } = this.#emitter;
    const property = properties[index];
    if (property !== undefined) {
      const { member, required } = property;
      const rest = from(index + 1, count + 1);
      const written =
        count === 0
          ? nodes.sequence([member, rest])
          : nodes.sequence([nodes.terminal(text.comma), member, rest]);
      return required ? written : nodes.choice([written, from(index + 1, count)]);
    }
    // An object may repeat a key that is free, and then counts it twice.
    const missing = Math.max(0, min - count);
    if (missing > 1 && other !== nodes.nothing)
      throw refusal(
        "",
        `minProperties ${min} is supported only where at most one of them has a name that the schema does not give`,
      );
    if (count === 0) {
      if (max < 1) return nodes.nothing;
      return nodes.sequence([other, nodes.repeat(free, 0, max - 1)]);
    }
    return nodes.repeat(free, missing, max - count);
  }

  /** A member whose key no schema names. */
  #others(facts: Facts, names: ReadonlySet<string>): NodeId {
    const { nodes, text, strings, expander } = this.#emitter;
    const e = text.expressions;
    const patterns = facts.objects.flatMap((layer) =>
      layer.patterns.map((pattern) => ({ ...pattern, layer })),
    );
    if (patterns.length > MAX_PATTERNS)
      throw refusal("", `more than ${MAX_PATTERNS} patternProperties for one object are not supported`);
    const common: Expr[] = [strings.any];
    if (names.size > 0)
      common.push(e.not(text.words([...names].map((name) => JSON.stringify(name).slice(1, -1)))));
    for (const claim of facts.propertyNames)
      common.push(
        e.or(
          expander.expand([claim]).map((fact) => {
            if ((fact.types & STRING) === 0) return NOTHING;
            if (fact.values === undefined) return strings.content(fact);
            const fitting = fact.values.filter((value) => expander.fits(value, fact)) as string[];
            return fitting.length === 0
              ? NOTHING
              : text.words(fitting.map((value) => JSON.stringify(value).slice(1, -1)));
          }),
        ),
      );
    const members: NodeId[] = [];
    for (let set = 0; set < 2 ** patterns.length; set++) {
      const matched = patterns.filter((_, i) => (set >> i) & 1);
      const claims: Claim[] = matched.map(({ claim }) => claim);
      for (const layer of facts.objects)
        if (layer.additional !== undefined && !matched.some((pattern) => pattern.layer === layer))
          claims.push(layer.additional);
      if (claims.some(({ schema, holds }) => schema.value === !holds)) continue;
      const key = e.and([
        ...common,
        ...patterns.map((pattern, i) => ((set >> i) & 1 ? pattern.key : e.not(pattern.key))),
      ]);
      members.push(this.#member(text.quoted(key), claims));
    }
    return nodes.choice(members);
  }
}
