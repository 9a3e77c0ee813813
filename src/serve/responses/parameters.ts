/** The fields of a response request, checked. Knows the endpoint; must not know generation. */
import type { GenerateOptions, LanguageModel } from "../../tasks/types.ts";
import { invalid } from "../errors.ts";
import { Fields } from "../fields.ts";
import { checkModel, mostLogprobs, present, tokenBudget } from "../parameters.ts";
import { textFormat } from "../response-format.ts";
import type { Talk } from "../talk.ts";
import type { ToolRequest } from "../tools.ts";
import { type Item, parseInput } from "./items.ts";
import { readTools } from "./tools.ts";

export interface ResponseRequest {
  readonly input: readonly Item[];
  readonly instructions: string | undefined;
  readonly previous: string | undefined;
  readonly stream: boolean;
  readonly store: boolean;
  readonly logprobs: boolean;
  readonly tools: ToolRequest | undefined;
  readonly format: Talk["format"];
  readonly options: GenerateOptions;
  /** Fields that the response tells again as they were asked for. */
  readonly told: Readonly<Record<string, unknown>>;
}

/** Fields of the standard that ask for what is not served, and why. */
const refused: Readonly<Record<string, string>> = {
  conversation: "is not served; go on with previous_response_id",
  prompt: "there are no stored prompts here; write it into input",
  reasoning: "this server has no such control; write it into the input if the model knows it",
  max_tool_calls: "limits tools on a server, and there are none here",
  context_management: "nothing is cut out of a conversation here",
  moderation: "there is no moderation here",
  prompt_cache_options: "prefixes are shared without being asked for",
};

const TOP_LOGPROBS = "message.output_text.logprobs";

export function parseRequest(model: LanguageModel, body: unknown): ResponseRequest {
  const fields = new Fields(body);
  checkModel(fields, model);
  for (const [field, reason] of Object.entries(refused)) fields.refuse(field, reason);
  fields.only("background", [false], "an answer is waited for here");
  fields.only("truncation", ["disabled"], "nothing is cut out of a conversation here");
  fields.only("prompt_cache_retention", ["in-memory", "in_memory", "24h"], "no such retention");
  fields.only("service_tier", ["auto", "default"], "there is one tier here");
  for (const field of ["user", "safety_identifier", "prompt_cache_key"]) fields.string(field);
  const stream = fields.boolean("stream") ?? false;
  const streaming = fields.object("stream_options");
  streaming?.only("include_obfuscation", [false], "chunks are not padded here; leave it out");
  streaming?.done();
  if (streaming !== undefined && !stream)
    throw invalid("stream_options", "is for streams; set stream to true");
  const { format, told: formatTold } = readText(fields);
  const { tools, told: toolsTold } = readTools(fields);
  const logprobs = included(fields);
  const top = fields.number("top_logprobs", { integer: true, min: 0, max: mostLogprobs });
  if (top !== undefined && !logprobs) throw invalid("top_logprobs", `needs include: ["${TOP_LOGPROBS}"]`);
  const input = parseInput(fields.take("input"));
  const instructions = fields.string("instructions");
  const temperature = fields.number("temperature", { min: 0, max: 2 });
  const topP = fields.number("top_p", { min: 0, max: 1 });
  const maxTokens = tokenBudget(fields, "max_output_tokens", model);
  const request = {
    input,
    instructions,
    previous: fields.string("previous_response_id"),
    stream,
    store: fields.boolean("store") ?? true,
    logprobs,
    tools,
    format,
    options: present({ temperature, topP, maxTokens, logprobs: logprobs ? (top ?? 0) : undefined }),
    told: {
      instructions: instructions ?? null,
      max_output_tokens: maxTokens ?? null,
      metadata: Object.fromEntries(fields.entries("metadata")),
      temperature: temperature ?? 1,
      text: { format: formatTold },
      ...toolsTold,
      top_logprobs: top ?? 0,
      top_p: topP ?? 1,
      truncation: "disabled",
    },
  };
  fields.done();
  return request;
}

function readText(fields: Fields): { readonly format: Talk["format"]; readonly told: unknown } {
  const text = fields.object("text");
  const grammar = text && textFormat(text);
  text?.refuse("verbosity", "this server has no such control; limit the length with max_output_tokens");
  text?.done();
  return {
    format: grammar && { grammar, field: "text.format" },
    told: text?.take("format") ?? { type: "text" },
  };
}

function included(fields: Fields): boolean {
  const value = fields.take("include") ?? [];
  if (!Array.isArray(value) || value.some((what) => what !== TOP_LOGPROBS))
    throw invalid("include", `only "${TOP_LOGPROBS}" can be included here`);
  return value.length > 0;
}
