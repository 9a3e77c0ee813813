/**
 * Schemas with instances, in the form of JSONSchemaBench's MaskBench: {description, schema, tests: [{valid, data}]}.
 * Here each file holds a list of them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

export interface SchemaCase {
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly { readonly valid: boolean; readonly data: unknown }[];
}

const folder = fileURLToPath(new URL("./schemas/", import.meta.url));

export const schemaCases: readonly SchemaCase[] = readdirSync(folder).flatMap((name) =>
  (JSON.parse(readFileSync(`${folder}${name}`, "utf8")) as SchemaCase[]).map((c) => ({
    ...c,
    description: `${name.replace(".json", "")}: ${c.description}`,
  })),
);

/** Ajv's judgement, of the draft whose keywords the schema has. */
export function validator(schema: unknown): ValidateFunction {
  const older = /"dependencies"|"additionalItems"/.test(JSON.stringify(schema));
  const ajv = new (older ? Ajv : Ajv2020)({ strict: false, validateFormats: true });
  (addFormats as unknown as (a: typeof ajv) => void)(ajv);
  return ajv.compile(schema as object);
}
