/**
 * `response_format` of a chat request as a grammar of the library. Knows the three forms of the OpenAI API; must not
 * know how grammars work.
 */
import type { Grammar } from "../decode/grammar/index.ts";
import { invalid } from "./errors.ts";
import { type Fields, shown } from "./fields.ts";

/**
 * White space is an optional space behind commas and colons: what models write, and what cannot go on without end.
 */
const WHITESPACE = "single";

export function responseFormat(fields: Fields): Grammar | undefined {
  const format = fields.object("response_format");
  if (format === undefined) return undefined;
  const type = format.string("type");
  if (type === "json_schema") {
    const form = format.object("json_schema");
    if (form === undefined) throw invalid("response_format.json_schema", "is missing");
    const name = form.string("name");
    if (name === undefined || !/^[a-zA-Z0-9_-]{1,64}$/.test(name))
      throw invalid(form.name("name"), "must be 1 to 64 letters, digits, underscores and hyphens");
    form.string("description");
    form.boolean("strict"); // a schema is always kept to here
    const schema = form.take("schema") ?? {};
    form.done();
    format.done();
    return { jsonSchema: schema, whitespace: WHITESPACE };
  }
  format.done();
  if (type === "json_object") return { jsonSchema: { type: "object" }, whitespace: WHITESPACE };
  if (type === "text") return undefined;
  throw invalid(format.name("type"), `must be text, json_object or json_schema, not ${shown(type ?? null)}`);
}
