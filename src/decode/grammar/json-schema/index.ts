/** A JSON Schema as a grammar of the JSON texts that are valid against it. */
import { ParameterError } from "../../../base/errors.ts";
import type { GrammarNodes, NodeId } from "../nodes.ts";
import type { Automaton } from "../regex/automaton.ts";
import { SchemaDocument } from "./document.ts";
import { Emitter } from "./emit.ts";
import { Expander } from "./expand.ts";
import { SchemaReader } from "./read.ts";
import { SchemaStrings } from "./strings.ts";
import { JsonText, WHITESPACES, type Whitespace } from "./text.ts";

export type { Whitespace } from "./text.ts";

export interface JsonSchemaOptions {
  /** White space between the parts of the text. Default `any`. */
  readonly whitespace?: Whitespace;
  /** Keywords that no draft knows: refused by name (default), or ignored as the standard says. */
  readonly unknownKeywords?: "refuse" | "ignore";
}

/**
 * @throws ParameterError naming the keyword and its JSON pointer where a schema asks for what is not supported, and
 *   where no value is valid
 */
export function jsonSchemaGrammar(
  nodes: GrammarNodes,
  schema: unknown,
  options: JsonSchemaOptions = {},
): NodeId {
  const { whitespace = "any", unknownKeywords = "refuse" } = options;
  if (!WHITESPACES.includes(whitespace))
    throw new ParameterError("grammar", `whitespace must be one of ${WHITESPACES.join(", ")}`);
  const { text, strings } = sharedOf(nodes.automaton, whitespace);
  const document = new SchemaDocument(schema);
  const reader = new SchemaReader(document, strings, { unknownKeywords });
  const expander = new Expander(document, reader, strings);
  return new Emitter(nodes, text, expander, strings).value([{ schema: document.root, holds: true }]);
}

interface Shared {
  readonly text: JsonText;
  readonly strings: SchemaStrings;
}

/** What does not depend on the schema: kept with the automaton that all grammars of a vocabulary share. */
const shared = new WeakMap<Automaton, Map<Whitespace, Shared>>();

function sharedOf(automaton: Automaton, whitespace: Whitespace): Shared {
  let kept = shared.get(automaton);
  if (kept === undefined) {
    kept = new Map();
    shared.set(automaton, kept);
  }
  let found = kept.get(whitespace);
  if (found === undefined) {
    const text = new JsonText(automaton.expressions, whitespace);
    found = { text, strings: new SchemaStrings(automaton, text) };
    kept.set(whitespace, found);
  }
  return found;
}
