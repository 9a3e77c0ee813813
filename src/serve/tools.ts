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
  /** Whether an answer may have several calls. */
  readonly parallel: boolean;
}

/** The model decides, calls none of them, must call one, or this one. */
export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

export interface GivenTool {
  readonly definition: ToolDefinition;
  readonly shown: unknown;
}

/** `tools`, one by one; no list is an empty one. */
export function toolList(fields: Fields, read: (item: unknown, i: number) => GivenTool): GivenTool[] {
  const list = fields.take("tools") ?? [];
  if (!Array.isArray(list)) throw invalid("tools", "must be a list");
  return list.map(read);
}

/**
 * Undefined where there are no tools, or none may be called.
 *
 * @param choiceField the field that names a tool, for errors
 */
export function toolRequest(
  tools: readonly GivenTool[],
  choice: ToolChoice,
  parallel: boolean,
  choiceField: string,
): ToolRequest | undefined {
  if (tools.length === 0 && choice !== "auto" && choice !== "none")
    throw invalid("tool_choice", "needs tools");
  if (tools.length === 0 || choice === "none") return undefined;
  const definitions = tools.map(({ definition }) => definition);
  const names = definitions.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw invalid("tools", `${shown(twice)} is there twice`);
  const wanted = typeof choice === "object" ? choice.name : undefined;
  const named = wanted === undefined ? undefined : definitions.filter(({ name }) => name === wanted);
  if (named?.length === 0) throw invalid(choiceField, `${shown(wanted)} is none of the tools`);
  return {
    definitions,
    shown: tools.map((tool) => tool.shown),
    demanded: named ?? (choice === "required" ? definitions : undefined),
    parallel: parallel && named === undefined,
  };
}

export function toolName(fields: Fields): string {
  const name = fields.string("name");
  if (name === undefined || !/^[a-zA-Z0-9_.-]{1,128}$/.test(name))
    throw invalid(fields.name("name"), "must be 1 to 128 letters, digits, underscores, points and hyphens");
  return name;
}

/** A JSON Schema of arguments; one that is left out lets any object through. */
export const parametersOf = (fields: Fields): unknown =>
  fields.object("parameters") ? fields.take("parameters") : { type: "object" };

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
  const tools = toolList(fields, functionOf);
  const choice = functionChoice(fields.take("tool_choice"), "tool_choice.function");
  const parallel = fields.boolean("parallel_tool_calls") ?? true;
  return toolRequest(tools, choice, parallel, "tool_choice.function.name");
}

/** A tool of chat completions and of Ollama: the function stands within it. */
export function functionOf(item: unknown, i: number): GivenTool {
  const tool = new Fields(item, `tools[${i}]`);
  if (tool.string("type") !== "function") throw invalid(tool.name("type"), 'must be "function"');
  const made = tool.object("function");
  if (made === undefined) throw invalid(tool.name("function"), "is needed");
  const name = toolName(made);
  made.string("description");
  made.boolean("strict"); // a demanded call always keeps to its schema
  const parameters = parametersOf(made);
  made.done();
  tool.done();
  return { definition: { name, parameters }, shown: item };
}

/** `tool_choice` of OpenAI's endpoints. @param place the object that has a function's name in it */
export function functionChoice(choice: unknown, place: "tool_choice" | "tool_choice.function"): ToolChoice {
  if (choice === undefined) return "auto";
  if (choice === "auto" || choice === "none" || choice === "required") return choice;
  if (typeof choice === "string")
    throw invalid("tool_choice", `must be none, auto, required or a function, not ${shown(choice)}`);
  const fields = new Fields(choice, "tool_choice");
  if (fields.string("type") !== "function") throw invalid("tool_choice.type", 'must be "function"');
  const named = place === "tool_choice" ? fields : fields.object("function");
  const name = named?.string("name");
  named?.done();
  fields.done();
  if (name === undefined) throw invalid(`${place}.name`, "is needed");
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

/**
 * `tool_calls` of an earlier message; undefined where there are none.
 *
 * @param read makes one of what the dialect has in its `function` besides the name
 */
export function pastCalls(
  message: Fields,
  read: (made: Fields, name: string, id: string | undefined) => object,
): object[] | undefined {
  const value = message.take("tool_calls") ?? [];
  if (!Array.isArray(value)) throw invalid(message.name("tool_calls"), "must be a list");
  if (value.length === 0) return undefined;
  return value.map((item: unknown, i) => {
    const call = new Fields(item, `${message.name("tool_calls")}[${i}]`);
    const id = call.string("id");
    call.only("type", ["function"], "only functions can be called");
    const made = call.object("function");
    const name = made?.string("name");
    if (made === undefined || name === undefined) throw invalid(call.name("function"), "must have a name");
    const past = read(made, name, id);
    made.done();
    call.done();
    return past;
  });
}

/** What a model wrote may be no JSON; the template then gets it as it is. */
export function parsedArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
