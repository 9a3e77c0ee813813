/** `tools`, `tool_choice`, `output_config` and `thinking` of Anthropic's dialect. Must not know templates. */
import { invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";
import { formatOf } from "../response-format.ts";
import type { Talk } from "../talk.ts";
import {
  type GivenTool,
  given,
  type ToolChoice,
  type ToolRequest,
  toolList,
  toolName,
  toolRequest,
} from "../tools.ts";
import { cacheControl } from "./talk.ts";

export function readTools(fields: Fields): ToolRequest | undefined {
  const tools = toolList(fields, readTool);
  const { choice, parallel } = readChoice(fields.object("tool_choice"));
  return toolRequest(tools, choice, parallel, "tool_choice.name");
}

function readTool(item: unknown, i: number): GivenTool {
  const tool = new Fields(item, `tools[${i}]`);
  tool.only(
    "type",
    ["custom"],
    "tools that run on the server are not served; give a name and an input_schema",
  );
  const name = toolName(tool);
  const description = tool.string("description");
  const schema = tool.object("input_schema") && tool.take("input_schema");
  if (schema === undefined) throw invalid(tool.name("input_schema"), "is needed");
  tool.boolean("strict"); // a demanded call always keeps to its schema
  tool.boolean("eager_input_streaming"); // inputs are streamed as they come in any case
  tool.only("defer_loading", [false], "all tools are shown to the model");
  tool.only("allowed_callers", [["direct"]], "only the model itself calls tools here");
  tool.refuse("input_examples", "templates show no examples; write them into the description");
  cacheControl(tool);
  tool.done();
  return given(name, description, schema);
}

function readChoice(fields: Fields | undefined): { choice: ToolChoice; parallel: boolean } {
  if (fields === undefined) return { choice: "auto", parallel: true };
  const type = fields.string("type");
  const name = type === "tool" ? fields.string("name") : undefined;
  const disabled = type !== "none" && fields.boolean("disable_parallel_tool_use");
  fields.done();
  const parallel = disabled !== true;
  if (type === "tool") {
    if (name === undefined) throw invalid("tool_choice.name", "is needed");
    return { choice: { name }, parallel };
  }
  if (type === "any") return { choice: "required", parallel };
  if (type === "auto" || type === "none") return { choice: type, parallel };
  throw invalid("tool_choice.type", `must be auto, any, tool or none, not ${shown(type ?? null)}`);
}

export function readFormat(fields: Fields): Talk["format"] {
  const config = fields.object("output_config");
  config?.refuse("effort", "this server has no such control");
  const format = config?.object("format");
  config?.done();
  if (format === undefined) return undefined;
  if (format.string("type") !== "json_schema") throw invalid(format.name("type"), 'must be "json_schema"');
  const schema = format.take("schema");
  if (schema === undefined) throw invalid(format.name("schema"), "is needed");
  format.done();
  return { grammar: formatOf(schema), field: "output_config.format" };
}

/** Whether the model is to think; undefined where the request leaves that to it. */
export function readThinking(fields: Fields): boolean | undefined {
  const thinking = fields.object("thinking");
  if (thinking === undefined) return undefined;
  const type = thinking.string("type");
  thinking.refuse(
    "budget_tokens",
    'a budget is not kept here; say {"type": "adaptive"}, and limit max_tokens',
  );
  if (type !== "adaptive" && type !== "disabled")
    throw invalid("thinking.type", `must be adaptive or disabled, not ${shown(type ?? null)}`);
  if (type === "adaptive") thinking.refuse("display", "thoughts are shown as they are");
  thinking.done();
  return type === "adaptive";
}
