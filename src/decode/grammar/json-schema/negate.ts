/**
 * What it means that a schema does not hold, as alternatives of schemas that do: one for each keyword that can fail.
 * Keywords whose failure no automaton can ask for are refused by name and place.
 */
import { isObject, refusal, type Schema, type SchemaDocument, type SchemaObject } from "./document.ts";
import { ANNOTATIONS, INTERNAL } from "./keywords.ts";
import type { Alternatives } from "./read.ts";

export function negate(document: SchemaDocument, schema: Schema): Alternatives {
  if (typeof schema.value === "boolean") return schema.value ? [] : [[]];
  const value = schema.value;
  const found: Alternatives[number][] = [];
  /** A schema of our own making, at a place that no document has. */
  const made = (key: string, content: SchemaObject, more = ""): void => {
    found.push([{ schema: document.child(schema, content, `~not${more}`, key), holds: true }]);
  };
  const child = (key: string, content: unknown): Schema => document.child(schema, content, key);
  for (const [key, claimed] of Object.entries(value)) {
    const number = claimed as number;
    switch (key) {
      case "type": {
        const names = Array.isArray(claimed) ? (claimed as unknown[]) : [claimed];
        const all = ["null", "boolean", "string", "array", "object"];
        if (!names.includes("number")) {
          if (!names.includes("integer")) all.push("number");
          else made(key, { [INTERNAL.fraction]: true }, "~fraction");
        }
        made(key, {
          type: all.filter((name) => !names.includes(name) && !(name === "null" && value.nullable === true)),
        });
        break;
      }
      case "enum":
        made(key, { [INTERNAL.excluded]: claimed });
        break;
      case "const":
        made(key, { [INTERNAL.excluded]: [claimed] });
        break;
      case "minimum":
        made(key, {
          type: "number",
          [value.exclusiveMinimum === true ? "maximum" : "exclusiveMaximum"]: claimed,
        });
        break;
      case "maximum":
        made(key, {
          type: "number",
          [value.exclusiveMaximum === true ? "minimum" : "exclusiveMinimum"]: claimed,
        });
        break;
      case "exclusiveMinimum":
        if (typeof claimed !== "boolean") made(key, { type: "number", maximum: claimed });
        break;
      case "exclusiveMaximum":
        if (typeof claimed !== "boolean") made(key, { type: "number", minimum: claimed });
        break;
      case "multipleOf":
        made(key, { type: "number", [INTERNAL.notMultiple]: claimed });
        break;
      case "minLength":
        if (number > 0) made(key, { type: "string", maxLength: number - 1 });
        break;
      case "maxLength":
        made(key, { type: "string", minLength: number + 1 });
        break;
      case "pattern":
        made(key, { type: "string", [INTERNAL.notPattern]: claimed });
        break;
      case "format":
        made(key, { type: "string", [INTERNAL.notFormat]: claimed });
        break;
      case "minItems":
        if (number > 0) made(key, { type: "array", maxItems: number - 1 });
        break;
      case "maxItems":
        made(key, { type: "array", minItems: number + 1 });
        break;
      case "minProperties":
        if (number > 0) made(key, { type: "object", maxProperties: number - 1 });
        break;
      case "maxProperties":
        made(key, { type: "object", minProperties: number + 1 });
        break;
      case "required":
        for (const name of claimed as string[])
          made(name, { type: "object", properties: { [name]: false } }, "~required");
        break;
      case "properties":
        for (const [name, property] of Object.entries(claimed as SchemaObject))
          if (property !== true && !(isObject(property) && Object.keys(property).length === 0))
            made(
              name,
              { type: "object", required: [name], properties: { [name]: { not: property } } },
              "~properties",
            );
        break;
      case "prefixItems":
        for (const [i, item] of (claimed as unknown[]).entries()) {
          const prefix = [...Array(i).fill(true), { not: item }];
          made(String(i), { type: "array", minItems: i + 1, prefixItems: prefix }, "~prefix");
        }
        break;
      case "allOf":
        for (const [i, part] of (claimed as unknown[]).entries())
          found.push([{ schema: document.child(schema, part, "allOf", i), holds: false }]);
        break;
      case "anyOf":
        found.push(
          (claimed as unknown[]).map((part, i) => ({
            schema: document.child(schema, part, "anyOf", i),
            holds: false,
          })),
        );
        break;
      case "not":
        found.push([{ schema: child("not", claimed), holds: true }]);
        break;
      case "$ref":
        found.push([{ schema: document.resolve(schema, claimed), holds: false }]);
        break;
      case "if": {
        const test = child("if", claimed);
        if (value.then !== undefined)
          found.push([
            { schema: test, holds: true },
            { schema: child("then", value.then), holds: false },
          ]);
        if (value.else !== undefined)
          found.push([
            { schema: test, holds: false },
            { schema: child("else", value.else), holds: false },
          ]);
        break;
      }
      case "dependentRequired":
        for (const [name, needed] of Object.entries(claimed as Record<string, string[]>))
          for (const other of needed)
            made(
              `${name}~${other}`,
              { type: "object", required: [name], properties: { [other]: false } },
              "~needed",
            );
        break;
      case "additionalProperties":
      case "items":
        if (claimed === true || (isObject(claimed) && Object.keys(claimed).length === 0)) break;
        throw refusal(
          `${schema.pointer}/${key}`,
          `the keyword "${key}" is not supported where it must not hold (in not, if, or oneOf with branches that overlap)`,
        );
      case "then":
      case "else":
      case "nullable":
        break;
      default:
        if (ANNOTATIONS.has(key) || key.startsWith("x-")) break;
        throw refusal(
          `${schema.pointer}/${key}`,
          `the keyword "${key}" is not supported where it must not hold (in not, if, or oneOf with branches that overlap)`,
        );
    }
  }
  return found;
}
