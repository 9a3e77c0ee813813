/**
 * Rewrites rules that begin with themselves, which a parser that goes from the top down cannot follow, so that they
 * match the same texts and recurse on the right: what a rule can begin with comes first, and then, step by step, how
 * a part that is there grows to the whole.
 *
 * The left-corner transform of Rosenkrantz and Lewis, "Deterministic left corner parsing", SWAT 1970, for the rules
 * concerned only, as in Moore, "Removing left recursion from context-free grammars", NAACL 2000, section 4.
 */
import { ParameterError } from "../../base/errors.ts";
import { analyze, type GrammarNodes, type NodeId } from "./nodes.ts";

interface Production {
  readonly first: NodeId;
  readonly rest: readonly NodeId[];
}

export function removeLeftRecursion(grammar: GrammarNodes): void {
  const { nodes } = grammar;
  const { nullable } = analyze(grammar);
  const corners = cornersOf(grammar, nullable);
  const rules = [...corners.keys()].filter((rule) => corners.get(rule)!.has(rule));
  const done = new Set<NodeId>();
  for (const rule of rules) {
    if (done.has(rule)) continue;
    // Rules that can begin with one another.
    const circle = rules.filter((other) => corners.get(rule)!.has(other) && corners.get(other)!.has(rule));
    for (const other of circle) done.add(other);
    rewrite(grammar, circle, nullable, (node) =>
      reaches(grammar, nullable, node, new Set(circle), new Set()),
    );
  }
  // A rule may still come back to itself, through a part that can be empty.
  const after = cornersOf(grammar, analyze(grammar).nullable);
  for (const rule of rules)
    if (after.get(rule)!.has(rule)) {
      const node = nodes[rule]!;
      throw new ParameterError(
        "grammar",
        `the rule "${node.kind === "rule" ? node.name : rule}" recurses on the left through something that may be empty, which is not supported; make that part not empty`,
      );
    }
}

/** The nodes that may come first in a node. */
function firsts(grammar: GrammarNodes, nullable: readonly boolean[], node: NodeId): readonly NodeId[] {
  const n = grammar.nodes[node]!;
  switch (n.kind) {
    case "terminal":
      return [];
    case "choice":
      return n.parts;
    case "repeat":
      return [n.part];
    case "rule":
      return [n.body];
    default: {
      const last = n.parts.findIndex((part) => !nullable[part]);
      return last < 0 ? n.parts : n.parts.slice(0, last + 1);
    }
  }
}

/** For each rule, the rules that it may begin with. */
function cornersOf(grammar: GrammarNodes, nullable: readonly boolean[]): Map<NodeId, Set<NodeId>> {
  const corners = new Map<NodeId, Set<NodeId>>();
  for (const [rule, node] of grammar.nodes.entries()) {
    if (node.kind !== "rule") continue;
    const found = new Set<NodeId>();
    const seen = new Set<NodeId>();
    const todo = [node.body];
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      if (grammar.nodes[at]!.kind === "rule") found.add(at);
      todo.push(...firsts(grammar, nullable, at));
    }
    corners.set(rule, found);
  }
  return corners;
}

/** Whether a node may begin with one of the rules. */
function reaches(
  grammar: GrammarNodes,
  nullable: readonly boolean[],
  node: NodeId,
  rules: ReadonlySet<NodeId>,
  seen: Set<NodeId>,
): boolean {
  if (rules.has(node)) return true;
  if (seen.has(node)) return false;
  seen.add(node);
  return firsts(grammar, nullable, node).some((first) => reaches(grammar, nullable, first, rules, seen));
}

function rewrite(
  grammar: GrammarNodes,
  circle: readonly NodeId[],
  nullable: readonly boolean[],
  begins: (node: NodeId) => boolean,
): void {
  const inCircle = new Set(circle);
  const name = (rule: NodeId): string => {
    const node = grammar.nodes[rule]!;
    return node.kind === "rule" ? node.name : String(rule);
  };
  const productionsOf = (rule: NodeId): Production[] => {
    const found: Production[] = [];
    const open = (node: NodeId, rest: readonly NodeId[]): void => {
      const n = grammar.nodes[node]!;
      if (inCircle.has(node) || !begins(node)) found.push({ first: node, rest });
      else if (n.kind === "choice") for (const part of n.parts) open(part, rest);
      else if (n.kind === "rule") open(n.body, rest);
      else if (n.kind === "repeat") {
        if (n.min === 0) found.push({ first: grammar.empty, rest });
        open(n.part, [grammar.repeat(n.part, Math.max(0, n.min - 1), n.max - 1), ...rest]);
      } else if (n.kind === "sequence") {
        const [first, ...others] = n.parts;
        if (nullable[first!] && others.some((other) => begins(other)))
          throw new ParameterError(
            "grammar",
            `the rule "${name(rule)}" recurses on the left behind something that may be empty, which is not supported; make that part not empty`,
          );
        open(first!, [...others, ...rest]);
      }
    };
    const node = grammar.nodes[rule]!;
    if (node.kind === "rule") open(node.body, []);
    return found;
  };
  const productions = new Map(circle.map((rule) => [rule, productionsOf(rule)]));
  /** How a part that is there grows to the whole. */
  const growing = new Map<string, NodeId>();
  const grow = (part: NodeId, whole: NodeId): NodeId => {
    const key = `${part},${whole}`;
    let rule = growing.get(key);
    if (rule === undefined) {
      rule = grammar.rule(`${name(part)} to ${name(whole)}`);
      growing.set(key, rule);
      const ways: NodeId[] = part === whole ? [grammar.empty] : [];
      for (const [parent, list] of productions)
        for (const { first, rest } of list)
          if (first === part) ways.push(grammar.sequence([...rest, grow(parent, whole)]));
      grammar.define(rule, grammar.choice(ways));
    }
    return rule;
  };
  for (const whole of circle) {
    const ways: NodeId[] = [];
    for (const [part, list] of productions)
      for (const { first, rest } of list)
        if (!inCircle.has(first)) ways.push(grammar.sequence([first, ...rest, grow(part, whole)]));
    grammar.define(whole, grammar.choice(ways));
  }
}
