/**
 * How large a grammar may be: compiling one keeps everybody else who uses the model waiting. Knows plain data, not
 * what it means.
 */
import { ParameterError } from "../../base/errors.ts";

/** Values in all schemas of a grammar: objects, lists, and what is in them. */
const MOST_VALUES = 10_000;
/** Characters of names, patterns, values that are allowed, and of grammars in notations of their own. */
const MOST_TEXT = 120_000;
/** What is for people only, where its value is a text. */
const NOTES: ReadonlySet<string> = new Set(["description", "title", "$comment"]);

/** @throws ParameterError on `grammar` where it is larger than what is compiled within a fraction of a second */
export function checkSize(grammar: unknown): void {
  let [values, text] = [0, 0];
  const todo: unknown[] = [grammar];
  while (todo.length > 0) {
    const value = todo.pop();
    if (++values > MOST_VALUES) throw tooLarge(`${MOST_VALUES} values`);
    if (typeof value === "string") text += value.length;
    else if (Array.isArray(value)) for (const item of value) todo.push(item);
    else if (typeof value === "object" && value !== null)
      for (const [key, item] of Object.entries(value)) {
        text += key.length;
        if (!(typeof item === "string" && NOTES.has(key))) todo.push(item);
      }
    if (text > MOST_TEXT) throw tooLarge(`${MOST_TEXT} characters of names, values and patterns`);
  }
}

const tooLarge = (what: string): ParameterError =>
  new ParameterError(
    "grammar",
    `has more than ${what}, which would take too long to compile; ask for less at once`,
  );
