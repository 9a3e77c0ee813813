/** A JSON Schema as a grammar of the JSON texts that are valid against it. */
import { ParameterError } from "../../../base/errors.ts";
import type { GrammarNodes, NodeId } from "../nodes.ts";
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
  const { automaton } = nodes;
  const text = new JsonText(automaton.expressions, whitespace);
  const document = new SchemaDocument(schema);
  const strings = new SchemaStrings(automaton, text);
  const reader = new SchemaReader(document, strings, { unknownKeywords });
  const expander = new Expander(document, reader, strings);
  return new Emitter(nodes, text, expander, strings).value([{ schema: document.root, holds: true }]);
}
