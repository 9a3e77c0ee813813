/** Text as OpenAI's endpoints take it: a string, or a list of parts. Must not know what it is for. */
import { invalid } from "./errors.ts";
import { Fields, shown } from "./fields.ts";

/**
 * A string, or text parts joined.
 *
 * @param types that a part may name
 * @param rest reads what else a part may have
 */
export function textOf(
  fields: Fields,
  field: string,
  types: readonly string[],
  rest?: (part: Fields) => void,
): string {
  const value = fields.take(field);
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw invalid(fields.name(field), "must be a string or a list of text parts");
  const texts = value.map((item: unknown, i) => {
    const part = new Fields(item, `${fields.name(field)}[${i}]`);
    const type = part.string("type");
    if (type === undefined || !types.includes(type))
      throw invalid(
        part.name("type"),
        `only text is served, not ${shown(type ?? null)}`,
        "unsupported_value",
      );
    const text = part.string("text");
    if (text === undefined) throw invalid(part.name("text"), "must be a string");
    rest?.(part);
    part.done();
    return text;
  });
  return texts.join("");
}
