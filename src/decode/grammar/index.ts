/**
 * Structured output: a grammar in any of the notations, compiled for the tokens of a model. What the compiler learns
 * about the vocabulary serves all grammars; a compiled grammar serves any number of sequences.
 */
import { ParameterError } from "../../base/errors.ts";
import { Constraint } from "./constraint.ts";
import { gbnfGrammar } from "./gbnf.ts";
import { type JsonSchemaOptions, jsonSchemaGrammar } from "./json-schema/index.ts";
import { larkGrammar } from "./lark.ts";
import { Machine, REFUSED } from "./machine.ts";
import { GrammarMasks, TerminalMasks } from "./masks.ts";
import { GrammarNodes, type NodeId } from "./nodes.ts";
import { Automaton } from "./regex/automaton.ts";
import { lower } from "./regex/lower.ts";
import { parsePattern } from "./regex/pattern.ts";
import { literalOf, utf8Of } from "./regex/utf8.ts";
import { checkSize } from "./size.ts";
import { specialBytes, type TokenSource, TokenVocabulary } from "./trie.ts";

export { Constraint } from "./constraint.ts";
export type { Whitespace } from "./json-schema/index.ts";
export type { TokenSource } from "./trie.ts";

/** What the text must be; plain data. */
export type Grammar =
  /** JSON that is valid against the schema; `true` for any. */
  | ({ readonly jsonSchema: unknown } & JsonSchemaOptions)
  /** The whole text matches the pattern (ECMA-262, without looking around and back). */
  | { readonly regex: string; readonly ignoreCase?: boolean }
  /** llama.cpp's notation; `root` names the rule to begin with, by default "root". */
  | { readonly gbnf: string; readonly root?: string }
  /** Lark's notation; `start` names the rule to begin with, by default "start". */
  | { readonly lark: string; readonly start?: string }
  /** Exactly this text. */
  | { readonly text: string }
  /** The special token of this name, which is no part of the text unless `showTokens` says so. */
  | { readonly token: string }
  /** Grammars one after the other, one of them, or one again and again. */
  | { readonly sequence: readonly Grammar[] }
  | { readonly choice: readonly Grammar[] }
  | { readonly repeat: Grammar; readonly min?: number; readonly max?: number };

const KINDS: Readonly<Record<string, readonly string[]>> = {
  jsonSchema: ["whitespace", "unknownKeywords"],
  regex: ["ignoreCase"],
  gbnf: ["root"],
  lark: ["start"],
  text: [],
  token: [],
  sequence: [],
  choice: [],
  repeat: ["min", "max"],
};

/** States of one grammar, and of the terminals of all, that are kept before both are begun anew. */
const MAX_STATES = 50_000;
const MAX_TERMINAL_STATES = 200_000;

/** A grammar for the tokens of one model. */
export class CompiledGrammar {
  readonly #nodes: GrammarNodes;
  readonly #root: NodeId;
  readonly #terminals: TerminalMasks;
  #masks: GrammarMasks;

  constructor(nodes: GrammarNodes, root: NodeId, terminals: TerminalMasks) {
    this.#nodes = nodes;
    this.#root = root;
    this.#terminals = terminals;
    this.#masks = new GrammarMasks(new Machine(nodes, root), terminals);
    if (this.#masks.machine.start === REFUSED)
      throw new ParameterError("grammar", "allows no text at all: what it asks for contradicts itself");
  }

  /** States that are kept. */
  get states(): number {
    return this.#masks.machine.states;
  }

  /** @param endTokens are allowed exactly where the text may end */
  start(endTokens: readonly number[]): Constraint {
    return new Constraint(this.#current, this.#terminals.vocabulary, endTokens);
  }

  /** Sequences under way ask as well, and come along: a single one can need a state for each of its tokens. */
  readonly #current = (): GrammarMasks => {
    if (this.states > MAX_STATES)
      this.#masks = new GrammarMasks(new Machine(this.#nodes, this.#root), this.#terminals);
    return this.#masks;
  };
}

/** Compiles grammars for one vocabulary. Making one takes a moment; keep it. */
export class GrammarCompiler {
  readonly #vocabulary: TokenVocabulary;
  #terminals: TerminalMasks;

  /** @param size the number of logits in a row, where it is more than the tokenizer has tokens */
  constructor(source: TokenSource, size: number = source.vocabSize) {
    this.#vocabulary = new TokenVocabulary(source, size);
    this.#terminals = new TerminalMasks(new Automaton(), this.#vocabulary);
  }

  /** @throws ParameterError on `grammar`, saying what in it cannot be used */
  compile(grammar: Grammar): CompiledGrammar {
    if (this.#terminals.automaton.states > MAX_TERMINAL_STATES)
      this.#terminals = new TerminalMasks(new Automaton(), this.#vocabulary);
    checkSize(grammar);
    const nodes = new GrammarNodes(this.#terminals.automaton);
    try {
      return new CompiledGrammar(nodes, rootOf(nodes, grammar, this.#vocabulary.special), this.#terminals);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // The stack has ended in the middle of something: what others would share is begun anew.
      this.#terminals = new TerminalMasks(new Automaton(), this.#vocabulary);
      throw new ParameterError("grammar", "has too many parts within or behind each other; simplify it");
    }
  }
}

function rootOf(nodes: GrammarNodes, grammar: Grammar, special: ReadonlySet<string>): NodeId {
  checkFields(grammar);
  if ("jsonSchema" in grammar) {
    const { jsonSchema, ...options } = grammar;
    return jsonSchemaGrammar(nodes, jsonSchema, options);
  }
  if ("gbnf" in grammar) return gbnfGrammar(nodes, grammar.gbnf, grammar.root);
  if ("lark" in grammar) return larkGrammar(nodes, grammar.lark, grammar.start);
  if ("sequence" in grammar)
    return nodes.sequence(grammar.sequence.map((part) => rootOf(nodes, part, special)));
  if ("choice" in grammar) return nodes.choice(grammar.choice.map((part) => rootOf(nodes, part, special)));
  if ("repeat" in grammar) {
    const { repeat, min = 0, max = Number.POSITIVE_INFINITY } = grammar;
    const whole = (count: number): boolean => Number.isSafeInteger(count) && count >= 0;
    if (!whole(min) || !(whole(max) || max === Number.POSITIVE_INFINITY) || max < min)
      throw new ParameterError("grammar", `repeat needs whole numbers from 0, not ${min} to ${max}`);
    return nodes.repeat(rootOf(nodes, repeat, special), min, max);
  }
  const { expressions } = nodes.automaton;
  if ("token" in grammar) {
    if (!special.has(grammar.token))
      throw new ParameterError(
        "grammar",
        `${JSON.stringify(grammar.token)} is no special token of this model`,
      );
    return nodes.terminal(expressions.literal(specialBytes(grammar.token)));
  }
  if ("text" in grammar) return nodes.terminal(literalOf(expressions, grammar.text));
  const pattern = parsePattern(grammar.regex, "grammar", { ignoreCase: grammar.ignoreCase ?? false });
  return nodes.terminal(
    lower(expressions, pattern, (points) => utf8Of(expressions, points), { whole: true, where: "grammar" }),
  );
}

function checkFields(grammar: unknown): void {
  const fields = typeof grammar === "object" && grammar !== null ? Object.entries(grammar) : [];
  const kinds = fields.filter(([name]) => Object.hasOwn(KINDS, name));
  if (kinds.length !== 1)
    throw new ParameterError("grammar", `must be an object with one of ${Object.keys(KINDS).join(", ")}`);
  const [kind, value] = kinds[0]!;
  if (kind === "sequence" || kind === "choice") {
    if (!Array.isArray(value)) throw new ParameterError("grammar", `${kind} must be a list of grammars`);
  } else if (kind !== "jsonSchema" && kind !== "repeat" && typeof value !== "string")
    throw new ParameterError("grammar", `${kind} must be a string`);
  for (const [name] of fields)
    if (name !== kind && !KINDS[kind]!.includes(name))
      throw new ParameterError("grammar", `${kind} has no option "${name}"`);
}
