/** Which form of calls a chat template asks for, told by the marks in it. */
import { ParameterError } from "../../base/errors.ts";
import { BEGIN, deepseek } from "./deepseek.ts";
import type { ToolDialect } from "./dialect.ts";
import { gemma } from "./gemma.ts";
import { hermes, llama3, mistral, plainJson } from "./json-calls.ts";
import { tags } from "./tags.ts";

const functionGemma = gemma("functiongemma", {
  open: "<start_function_call>",
  close: "<end_function_call>",
  quote: "<escape>",
});
const gemma4 = gemma("gemma4", { open: "<|tool_call>", close: "<tool_call|>", quote: '<|"|>' });

/** Marks of forms that are not read here. */
const UNKNOWN: readonly (readonly [string, string])[] = [
  ["<arg_key>", "GLM"],
  ["<｜DSML｜", "DeepSeek V3.2"],
  ["<|tool_calls_section_begin|>", "Kimi"],
  ["<|START_ACTION|>", "Command"],
  ["<|channel|>", "gpt-oss"],
  ["<minimax:tool_call>", "MiniMax"],
];

/** The dialect of a chat template; undefined where it knows no tools. */
export function dialectOf(template: string): ToolDialect | undefined {
  for (const [mark, family] of UNKNOWN)
    if (template.includes(mark))
      throw new ParameterError("tools", `calls in the form of ${family} (${mark}) are not supported`);
  if (template.includes("[TOOL_CALLS]")) return mistral(template);
  if (template.includes(BEGIN)) return deepseek(template);
  if (template.includes("<start_function_call>")) return functionGemma;
  if (template.includes("<|tool_call>")) return gemma4;
  if (!/\btools\b/.test(template)) return undefined;
  if (template.includes("<function=") && template.includes("<parameter=")) return tags;
  if (template.includes("<tool_call>")) return hermes;
  if (template.includes("<|python_tag|>") || /["']parameters["']/.test(template)) return llama3;
  return plainJson;
}

/** Whether the template itself shows tools to the model. */
export const showsTools = (template: string): boolean => /\btools\b/.test(template);
