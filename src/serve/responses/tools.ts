/** `tools`, `tool_choice` and `parallel_tool_calls` of a response request. Must not know templates. */
import { invalid } from "../errors.ts";
import { Fields } from "../fields.ts";
import {
  functionChoice,
  type GivenTool,
  given,
  parametersOf,
  type ToolRequest,
  toolList,
  toolName,
  toolRequest,
} from "../tools.ts";

interface ResponseTools {
  readonly tools: ToolRequest | undefined;
  /** As the response tells them again. */
  readonly told: {
    readonly tools: unknown;
    readonly tool_choice: unknown;
    readonly parallel_tool_calls: boolean;
  };
}

export function readTools(fields: Fields): ResponseTools {
  const tools = toolList(fields, readTool);
  const choice = fields.take("tool_choice") ?? "auto";
  const parallel = fields.boolean("parallel_tool_calls") ?? true;
  return {
    tools: toolRequest(tools, functionChoice(choice, "tool_choice"), parallel, "tool_choice.name"),
    told: { tools: fields.take("tools") ?? [], tool_choice: choice, parallel_tool_calls: parallel },
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
  const name = toolName(tool);
  const description = tool.string("description");
  const parameters = parametersOf(tool);
  tool.boolean("strict"); // a demanded call always keeps to its schema
  tool.only("defer_loading", [false], "all tools are shown to the model");
  tool.only("allowed_callers", [["direct"]], "only the model itself calls tools here");
  tool.refuse("output_schema", "results are given to the model as they are");
  tool.done();
  return given(name, description, parameters);
}
