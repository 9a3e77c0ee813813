/**
 * POST /v1/messages and /v1/messages/count_tokens: Anthropic's dialect of a chat. Knows the shape of the endpoint;
 * must not know templates.
 */
import type { ChatMessage, GenerateOptions, Generation, GenerationResult } from "../../tasks/types.ts";
import { allResults, complete, newId, type ServeContext, startWork, type Work } from "../context.ts";
import { ApiError, invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";
import { checkModel, present } from "../parameters.ts";
import { eventStream } from "../stream.ts";
import { anthropic } from "./dialect.ts";

/** Fields of the standard that ask for what is not served, and why. */
const refused: Readonly<Record<string, string>> = {
  tools: "tools are not served yet",
  tool_choice: "tools are not served yet",
  container: "there are no containers here",
  mcp_servers: "there are no MCP servers here",
  output_config: "only text is served yet",
  context_management: "nothing is edited here; send the messages that are to be read",
  inference_geo: "this server has one place",
  speed: "this server has one speed",
  diagnostics: "there are no diagnostics here",
  user_profile_id: "there are no profiles here",
  workspace_id: "there are no workspaces here",
};

export async function messages(context: ServeContext, request: Request, body: unknown): Promise<Response> {
  const fields = new Fields(body);
  const talk = parseTalk(context, fields);
  const { stream, options } = parseOptions(context, fields);
  fields.done();
  const work = startWork(context, request);
  const generation = context.model.chat(talk, { ...options, ...work.options });
  const head = {
    id: newId("msg"),
    type: "message",
    role: "assistant",
    model: context.model.name,
  };
  if (stream) {
    const prompt = context.model.chatPrompt(talk).length;
    return eventStream(events(generation, head, prompt, work), work, context.onError, anthropic);
  }
  const [result] = (await allResults(work, [generation])) as [GenerationResult];
  return Response.json({
    ...head,
    content: [{ type: "text", text: result.text, citations: null }],
    ...ending(result),
    usage: usage(result.promptTokens, result.tokens.length),
  });
}

/** How many tokens the messages are, with the template around them. */
export function countTokens(context: ServeContext, body: unknown): Response {
  const fields = new Fields(body);
  const talk = parseTalk(context, fields);
  fields.refuse("tools", "tools are not served yet");
  fields.refuse("tool_choice", "tools are not served yet");
  fields.only("thinking", [{ type: "disabled" }], "there is no such control here");
  fields.done();
  return Response.json({ input_tokens: context.model.chatPrompt(talk).length });
}

function parseTalk({ model }: ServeContext, fields: Fields): ChatMessage[] {
  if (fields.take("model") === undefined)
    throw invalid("model", `is needed; this server serves "${model.name}"`);
  checkModel(fields, model);
  const list = fields.take("messages");
  if (!Array.isArray(list) || list.length === 0)
    throw invalid("messages", "must be a list with at least one message");
  if (!model.chats)
    throw new ApiError(400, `messages: "${model.name}" has no chat template; use /v1/completions`, {
      param: "messages",
      code: "no_chat_template",
    });
  const system = text(fields, "system");
  const talk = list.map((value: unknown, i): ChatMessage => {
    const message = new Fields(value, `messages[${i}]`);
    const role = message.string("role");
    if (role !== "user" && role !== "assistant")
      throw invalid(message.name("role"), `must be user or assistant, not ${shown(role ?? null)}`);
    const content = text(message, "content");
    if (content === undefined) throw invalid(message.name("content"), "is needed");
    message.done();
    return { role, content };
  });
  if (talk.at(-1)!.role === "assistant")
    throw invalid(
      "messages",
      "must end with a message of the user: an answer cannot be begun for the model here",
    );
  return system === undefined ? talk : [{ role: "system", content: system }, ...talk];
}

/** A string, or text blocks joined. */
function text(fields: Fields, field: string): string | undefined {
  const value = fields.take(field);
  if (value === undefined || typeof value === "string") return value;
  if (!Array.isArray(value)) throw invalid(fields.name(field), "must be a string or a list of text blocks");
  return value
    .map((item: unknown, i) => {
      const block = new Fields(item, `${fields.name(field)}[${i}]`);
      const type = block.string("type");
      if (type !== "text")
        throw invalid(block.name("type"), `only "text" is served, not ${shown(type ?? null)}`);
      const content = block.string("text");
      if (content === undefined) throw invalid(block.name("text"), "must be a string");
      cacheControl(block);
      block.only("citations", [[], { enabled: false }], "there are no citations here");
      block.done();
      return content;
    })
    .join("");
}

/** What can be shared between requests is found without being marked: a mark changes nothing. */
function cacheControl(fields: Fields): void {
  const mark = fields.object("cache_control");
  mark?.only("type", ["ephemeral"], "must be ephemeral");
  mark?.only("ttl", ["5m", "1h"], "must be 5m or 1h");
  mark?.done();
}

function parseOptions(
  { model }: ServeContext,
  fields: Fields,
): { readonly stream: boolean; readonly options: GenerateOptions } {
  const maxTokens = fields.number("max_tokens", { integer: true, min: 1 });
  if (maxTokens === undefined) throw invalid("max_tokens", "is needed");
  if (maxTokens > model.contextLength)
    throw invalid("max_tokens", `${maxTokens} tokens exceed the model's context of ${model.contextLength}`);
  for (const [field, reason] of Object.entries(refused)) fields.refuse(field, reason);
  fields.only("thinking", [{ type: "disabled" }], "there is no such control here");
  fields.only("service_tier", ["auto", "standard_only"], "must be auto or standard_only");
  cacheControl(fields);
  const metadata = fields.object("metadata");
  metadata?.string("user_id");
  metadata?.done();
  return {
    stream: fields.boolean("stream") ?? false,
    options: {
      maxTokens,
      ...present({
        temperature: fields.number("temperature", { min: 0, max: 1 }),
        topP: fields.number("top_p", { min: 0, max: 1 }),
        topK: fields.number("top_k", { integer: true, min: 0 }),
        stop: stopSequences(fields),
      }),
    },
  };
}

function stopSequences(fields: Fields): string[] | undefined {
  const value = fields.take("stop_sequences");
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string" && item !== ""))
    throw invalid("stop_sequences", "must be a list of strings that are not empty");
  return value as string[];
}

const usage = (input: number, output: number): object => ({
  input_tokens: input,
  output_tokens: output,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
});

const ending = ({ finishReason, stop }: GenerationResult) => ({
  stop_reason: finishReason === "length" ? "max_tokens" : stop === undefined ? "end_turn" : "stop_sequence",
  stop_sequence: stop ?? null,
});

async function* events(
  generation: Generation,
  head: object,
  prompt: number,
  work: Work,
): AsyncGenerator<object> {
  const opening = [
    {
      type: "message_start",
      message: {
        ...head,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: usage(prompt, 0),
      },
    },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "", citations: null } },
  ];
  const delta = (text: string): object => ({
    type: "content_block_delta",
    index: 0,
    delta: { type: "text_delta", text },
  });
  let opened = false;
  for await (const { text } of generation.events()) {
    if (!opened) yield* opening;
    opened = true;
    if (text !== "") yield delta(text);
  }
  const result = complete(await generation.result(), work);
  if (!opened) yield* opening;
  yield { type: "content_block_stop", index: 0 };
  yield {
    type: "message_delta",
    delta: ending(result),
    usage: usage(result.promptTokens, result.tokens.length),
  };
  yield { type: "message_stop" };
}
