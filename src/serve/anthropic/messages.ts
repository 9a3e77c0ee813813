/**
 * POST /v1/messages and /v1/messages/count_tokens: Anthropic's dialect of a chat. Knows the shape of the endpoint;
 * must not know templates.
 */
import type { GenerateOptions, Generation, GenerationResult } from "../../tasks/types.ts";
import { complete, newId, type ServeContext, startWork, type Work, wholeResult } from "../context.ts";
import { invalid } from "../errors.ts";
import { Fields } from "../fields.ts";
import { checkModel, present, tokenBudget } from "../parameters.ts";
import { eventStream } from "../stream.ts";
import { namingGrammar, needTemplate, type Plan, planTalk, type Talk } from "../talk.ts";
import { BlockStream, blocksOf } from "./blocks.ts";
import { anthropic } from "./dialect.ts";
import { cacheControl, parseMessages } from "./talk.ts";
import { readFormat, readThinking, readTools } from "./tools.ts";

/** Fields of the standard that ask for what is not served, and why. */
const refused: Readonly<Record<string, string>> = {
  container: "there are no containers here",
  mcp_servers: "there are no MCP servers here",
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
  const plan = await planTalk(context, talk);
  return await namingGrammar(plan.grammarField, () => answer(context, request, plan, stream, options));
}

async function answer(
  context: ServeContext,
  request: Request,
  plan: Plan,
  stream: boolean,
  options: GenerateOptions,
): Promise<Response> {
  const prompt = stream ? (await plan.prompt()).length : 0;
  const work = startWork(context, request);
  const generation = context.model.chat(plan.asked(), { ...options, ...plan.options, ...work.options });
  const head = {
    id: newId("msg"),
    type: "message",
    role: "assistant",
    model: context.model.name,
  };
  if (stream)
    return eventStream(
      events(generation, { ...head, usage: usage(prompt, 0) }, plan, work),
      work,
      context.onError,
      anthropic,
    );
  const result = await wholeResult(work, generation);
  const { content, called } = blocksOf(plan, result.text);
  return Response.json({
    ...head,
    content,
    ...ending(result, called),
    usage: usage(result.promptTokens, result.tokens.length),
  });
}

/** How many tokens the messages are, with the template and the tools around them. */
export async function countTokens(context: ServeContext, body: unknown): Promise<Response> {
  const fields = new Fields(body);
  const talk = parseTalk(context, fields);
  cacheControl(fields);
  fields.done();
  const plan = await planTalk(context, talk);
  return Response.json({ input_tokens: (await plan.prompt()).length });
}

function parseTalk({ model }: ServeContext, fields: Fields): Talk {
  if (fields.take("model") === undefined)
    throw invalid("model", `is needed; this server serves "${model.name}"`);
  checkModel(fields, model);
  const talk = parseMessages(fields);
  needTemplate(model, "messages", "/v1/completions");
  return {
    messages: talk,
    tools: readTools(fields),
    format: readFormat(fields),
    think: readThinking(fields),
    thinkField: "thinking",
  };
}

function parseOptions(
  { model }: ServeContext,
  fields: Fields,
): { readonly stream: boolean; readonly options: GenerateOptions } {
  const maxTokens = tokenBudget(fields, "max_tokens", model);
  if (maxTokens === undefined) throw invalid("max_tokens", "is needed");
  for (const [field, reason] of Object.entries(refused)) fields.refuse(field, reason);
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

const ending = ({ finishReason, stop }: GenerationResult, called: boolean) => ({
  stop_reason:
    finishReason === "length"
      ? "max_tokens"
      : stop !== undefined
        ? "stop_sequence"
        : called
          ? "tool_use"
          : "end_turn",
  stop_sequence: stop ?? null,
});

async function* events(generation: Generation, head: object, plan: Plan, work: Work): AsyncGenerator<object> {
  const opening = {
    type: "message_start",
    message: {
      ...head,
      content: [],
      stop_reason: null,
      stop_sequence: null,
    },
  };
  const blocks = new BlockStream(plan);
  let opened = false;
  for await (const { text } of generation.events()) {
    if (!opened) yield opening;
    opened = true;
    yield* blocks.push(text);
  }
  const result = complete(await generation.result(), work);
  if (!opened) yield opening;
  yield* blocks.end();
  yield {
    type: "message_delta",
    delta: ending(result, blocks.called),
    usage: usage(result.promptTokens, result.tokens.length),
  };
  yield { type: "message_stop" };
}
