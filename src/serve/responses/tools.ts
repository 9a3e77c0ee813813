/** `tools`, `tool_choice` and `parallel_tool_calls` of a response request. Must not know templates. */
import { invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";
import {
  checkName,
  type GivenTool,
  given,
  type ToolChoice,
  type ToolRequest,
  toolRequest,
} from "../tools.ts";

export interface ResponseTools {
  readonly tools: ToolRequest | undefined;
  /** As the response tells them again. */
  readonly told: {
    readonly tools: readonly unknown[];
    readonly tool_choice: unknown;
    readonly parallel_tool_calls: boolean;
  };
}

export function readTools(fields: Fields): ResponseTools {
  const list = fields.take("tools") ?? [];
  const choice = fields.take("tool_choice") ?? "auto";
  const parallel = fields.boolean("parallel_tool_calls") ?? true;
  if (!Array.isArray(list)) throw invalid("tools", "must be a list");
  const wanted = choiceOf(choice);
  if (list.length === 0 && wanted !== "auto" && wanted !== "none")
    throw invalid("tool_choice", "needs tools");
  const tools = list.map(readTool);
  return {
    tools:
      list.length === 0 || wanted === "none"
        ? undefined
        : toolRequest(tools, wanted, parallel, "tool_choice.name"),
    told: { tools: list, tool_choice: choice, parallel_tool_calls: parallel },
  };
}

function readTool(item: unknown, i: number): GivenTool {
  const tool = new Fields(item, `tools[${i}]`);
  if (tool.string("type") !== "function")
    throw invalid(
      tool.name("type"),
      'must be "function": there are no tools on this server',
      "unsupported_value",
    );
  const name = checkName(tool, "name", tool.string("name"));
  const description = tool.string("description");
  const parameters = tool.take("parameters") ?? { type: "object" };
  tool.boolean("strict"); // a demanded call always keeps to its schema
  tool.only("defer_loading", [false], "all tools are shown to the model");
  tool.only("allowed_callers", [["direct"]], "only the model itself calls tools here");
  tool.refuse("output_schema", "results are given to the model as they are");
  tool.done();
  return given(name, description, parameters);
}

function choiceOf(choice: unknown): ToolChoice | "none" {
  if (choice === "auto" || choice === "none" || choice === "required") return choice;
  if (typeof choice === "string")
    throw invalid("tool_choice", `must be none, auto, required or a function, not ${shown(choice)}`);
  const fields = new Fields(choice, "tool_choice");
  if (fields.string("type") !== "function") throw invalid("tool_choice.type", 'must be "function"');
  const name = fields.string("name");
  fields.done();
  if (name === undefined) throw invalid("tool_choice.name", "is needed");
  return { name };
}
