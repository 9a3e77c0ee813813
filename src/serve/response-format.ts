/**
 * What a request says about the form of its answer, as a grammar of the library. Knows the three forms of the OpenAI
 * API; must not know how grammars work.
 */
import type { Grammar } from "../decode/grammar/index.ts";
import { invalid } from "./errors.ts";
import { type Fields, shown } from "./fields.ts";

/**
 * White space is an optional space behind commas and colons: what models write, and what cannot go on without end.
 */
const WHITESPACE = "single";

export const formatOf = (schema: unknown): Grammar => ({ jsonSchema: schema, whitespace: WHITESPACE });
export const anyObject: Grammar = formatOf({ type: "object" });

/** `response_format` of a chat completion. */
export function responseFormat(fields: Fields): Grammar | undefined {
  const format = fields.object("response_format");
  if (format === undefined) return undefined;
  return typedFormat(format, (): Grammar => {
    const form = format.object("json_schema");
    if (form === undefined) throw invalid("response_format.json_schema", "is missing");
    const grammar = namedSchema(form);
    form.done();
    return grammar;
  });
}

/** `format` within the `text` of a response: the schema's fields stand beside the type. */
export function textFormat(fields: Fields): Grammar | undefined {
  const format = fields.object("format");
  return format && typedFormat(format, () => namedSchema(format));
}

function typedFormat(format: Fields, schema: () => Grammar): Grammar | undefined {
  const type = format.string("type");
  if (type !== "json_schema" && type !== "json_object" && type !== "text")
    throw invalid(
      format.name("type"),
      `must be text, json_object or json_schema, not ${shown(type ?? null)}`,
    );
  const grammar = type === "json_schema" ? schema() : type === "json_object" ? anyObject : undefined;
  format.done();
  return grammar;
}

function namedSchema(form: Fields): Grammar {
  const name = form.string("name");
  if (name === undefined || !/^[a-zA-Z0-9_-]{1,64}$/.test(name))
    throw invalid(form.name("name"), "must be 1 to 64 letters, digits, underscores and hyphens");
  form.string("description");
  form.boolean("strict"); // a schema is always kept to here
  return formatOf(form.take("schema") ?? {});
}
