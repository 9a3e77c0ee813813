/**
 * The forms in which models write calls of tools, and the grammar that makes a model write one. Knows texts and
 * schemas; not requests, and not how a template shows tools to the model.
 */
import { ParameterError } from "../../base/errors.ts";
import type { Grammar } from "../grammar/index.ts";

export interface ToolDialect {
  readonly name: string;
  /** Around each call. Without marks, a call is an answer that begins with it. */
  readonly open: string;
  readonly close: string;
  /** Between two calls; undefined where a model makes one at a time. */
  readonly between: string | undefined;
  /** The field that holds the arguments. */
  readonly arguments: "arguments" | "parameters";
}

const HERMES: ToolDialect = {
  name: "hermes",
  open: "<tool_call>\n",
  close: "\n</tool_call>",
  between: "\n",
  arguments: "arguments",
};
const LLAMA3: ToolDialect = {
  name: "llama3",
  open: "",
  close: "",
  between: undefined,
  arguments: "parameters",
};
const JSON_CALLS: ToolDialect = { ...LLAMA3, name: "json", arguments: "arguments" };

/** Templates whose calls are marked by special tokens, which a text does not show. */
const UNKNOWN_MARKS: readonly (readonly [string, string])[] = [
  ["[TOOL_CALLS]", "Mistral"],
  ["<｜tool▁calls▁begin｜>", "DeepSeek"],
  ["<start_function_call>", "Gemma"],
];

/** The dialect that a chat template asks for; undefined where it knows no tools. */
export function dialectOf(template: string): ToolDialect | undefined {
  for (const [mark, family] of UNKNOWN_MARKS)
    if (template.includes(mark))
      throw new ParameterError("tools", `calls in the form of ${family} (${mark}) are not supported`);
  if (!/\btools\b/.test(template)) return undefined;
  if (template.includes("<tool_call>")) return HERMES;
  if (template.includes("<|python_tag|>") || /["']parameters["']/.test(template)) return LLAMA3;
  return JSON_CALLS;
}

export interface ToolDefinition {
  readonly name: string;
  /** A JSON Schema of the arguments. */
  readonly parameters: unknown;
}

/** One or more calls of these tools, and nothing else. */
export function callGrammar(
  dialect: ToolDialect,
  tools: readonly ToolDefinition[],
  { parallel }: { parallel: boolean },
): Grammar {
  const calls = tools.map(
    ({ name, parameters }): Grammar => ({
      sequence: [
        { text: `${dialect.open}{"name": ${JSON.stringify(name)}, "${dialect.arguments}": ` },
        { jsonSchema: parameters, whitespace: "single", unknownKeywords: "ignore" },
        { text: `}${dialect.close}` },
      ],
    }),
  );
  const call: Grammar = { choice: calls };
  if (!parallel || dialect.between === undefined) return call;
  return { sequence: [call, { repeat: { sequence: [{ text: dialect.between }, call] } }] };
}
