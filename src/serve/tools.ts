/**
 * What a request says about tools, in whatever dialect it came: which there are, and whether the model decides. Knows
 * the rules that the dialects share; must not know how a model writes calls.
 */
import type { ToolDefinition } from "../decode/tools/dialect.ts";
import { newId } from "./context.ts";
import { invalid } from "./errors.ts";
import { Fields, shown } from "./fields.ts";

export interface ToolRequest {
  readonly definitions: readonly ToolDefinition[];
  /** For the template: `{ type: "function", function: { name, description, parameters } }`. */
  readonly shown: readonly unknown[];
  /** Those of which one must be called; undefined where the model decides. */
  readonly demanded: readonly ToolDefinition[] | undefined;
  /** Whether a demanded answer may have several calls. */
  readonly parallel: boolean;
}

/** The model decides, must call one of them, or this one. */
export type ToolChoice = "auto" | "required" | { readonly name: string };

export interface GivenTool {
  readonly definition: ToolDefinition;
  readonly shown: unknown;
}

/** @param choiceField the field that names a tool, for errors */
export function toolRequest(
  tools: readonly GivenTool[],
  choice: ToolChoice,
  parallel: boolean,
  choiceField: string,
): ToolRequest {
  const definitions = tools.map(({ definition }) => definition);
  const names = definitions.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw invalid("tools", `${shown(twice)} is there twice`);
  const named =
    typeof choice === "object" ? definitions.filter(({ name }) => name === choice.name) : undefined;
  if (named?.length === 0)
    throw invalid(choiceField, `${shown((choice as { name: string }).name)} is none of the tools`);
  return {
    definitions,
    shown: tools.map((tool) => tool.shown),
    demanded: named ?? (choice === "required" ? definitions : undefined),
    parallel: parallel && named === undefined,
  };
}

export function checkName(fields: Fields, field: string, name: string | undefined): string {
  if (name === undefined || !/^[a-zA-Z0-9_.-]{1,128}$/.test(name))
    throw invalid(fields.name(field), "must be 1 to 128 letters, digits, underscores, points and hyphens");
  return name;
}

/** What templates take of a tool. */
export function given(name: string, description: string | undefined, parameters: unknown): GivenTool {
  const described = description === undefined ? {} : { description };
  return {
    definition: { name, parameters },
    shown: { type: "function", function: { name, ...described, parameters } },
  };
}

/** `tools`, `tool_choice` and `parallel_tool_calls` of a chat completion. */
export function readTools(fields: Fields): ToolRequest | undefined {
  const list = fields.take("tools");
  const choice = fields.take("tool_choice");
  const parallel = fields.boolean("parallel_tool_calls") ?? true;
  if (list === undefined || (Array.isArray(list) && list.length === 0)) {
    if (choice !== undefined && choice !== "none" && choice !== "auto")
      throw invalid("tool_choice", "needs tools");
    return undefined;
  }
  if (!Array.isArray(list)) throw invalid("tools", "must be a list");
  const tools = list.map(functionOf);
  const wanted = choiceOf(choice);
  if (wanted === "none") return undefined;
  return toolRequest(tools, wanted, parallel, "tool_choice.function.name");
}

/** A tool of chat completions and of Ollama: the function stands within it. */
export function functionOf(item: unknown, i: number): GivenTool {
  const tool = new Fields(item, `tools[${i}]`);
  if (tool.string("type") !== "function") throw invalid(tool.name("type"), 'must be "function"');
  const made = tool.object("function");
  const name = checkName(tool, "function.name", made?.string("name"));
  made!.string("description");
  made!.boolean("strict"); // a demanded call always keeps to its schema
  const parameters = made!.take("parameters") ?? { type: "object" };
  made!.done();
  tool.done();
  return { definition: { name, parameters }, shown: item };
}

function choiceOf(choice: unknown): ToolChoice | "none" {
  if (choice === undefined) return "auto";
  if (choice === "auto" || choice === "none" || choice === "required") return choice;
  if (typeof choice === "string")
    throw invalid("tool_choice", `must be none, auto, required or a function, not ${shown(choice)}`);
  const fields = new Fields(choice, "tool_choice");
  if (fields.string("type") !== "function") throw invalid("tool_choice.type", 'must be "function"');
  const name = fields.object("function")?.string("name");
  fields.done();
  if (name === undefined) throw invalid("tool_choice.function.name", "is missing");
  return { name };
}

/** The id of a call: the model's own, or a new one as templates want them. */
export function callId(prefix: string, shortIds: boolean, own?: string): string {
  if (own !== undefined) return own;
  const id = newId(prefix);
  return shortIds ? id.slice(-9) : id;
}

/** A call that was made before, as templates take it; its arguments are a value. */
export const pastCall = (id: string | undefined, name: string, given: unknown): object => ({
  ...(id === undefined ? {} : { id }),
  type: "function",
  function: { name, arguments: given },
});

/** What a model wrote may be no JSON; the template then gets it as it is. */
export function parsedArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
