/**
 * POST /v1/chat/completions: reads the request, starts the generations, and writes the answer whole or as
 * a stream. Knows the shape of the endpoint; the fields that it shares lie in parameters.ts.
 */
import { ParameterError } from "../base/errors.ts";
import type { ChatMessage, ChatOptions, Generation } from "../tasks/types.ts";
import {
  allResults,
  complete,
  newId,
  type ServeContext,
  startWork,
  unixTime,
  usageOf,
  type Work,
} from "./context.ts";
import { ApiError, invalid } from "./errors.ts";
import { Fields } from "./fields.ts";
import { chatLogprobs } from "./logprobs.ts";
import { parseMessages } from "./messages.ts";
import { mostLogprobs, optionsOfChoice, present, type Shared, sharedFields } from "./parameters.ts";
import { responseFormat } from "./response-format.ts";
import { eventStream, merge } from "./stream.ts";
import { answerOf, finishOf, readTools, ToolStream, type Tools } from "./tools.ts";

interface ChatRequest extends Shared {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
  readonly tools: Tools | undefined;
}

/** Fields of the standard that ask for what is not served, and why. */
const refused: Readonly<Record<string, string>> = {
  functions: "is of the older API; use tools",
  function_call: "is of the older API; use tool_choice",
  audio: "an answer here is text",
  prediction: "predicted outputs are not served",
  reasoning_effort: "this server has no such control; write it into the messages if the model knows it",
  verbosity: "this server has no such control; limit the length with max_completion_tokens",
  web_search_options: "there is no search here",
  moderation: "there is no moderation here",
};

export async function chatCompletions(
  context: ServeContext,
  request: Request,
  body: unknown,
): Promise<Response> {
  try {
    return await answer(context, request, body);
  } catch (error) {
    throw named(error, body);
  }
}

/** The library speaks of the prompt and of maxTokens; this endpoint calls them otherwise. */
function named(error: unknown, body: unknown): unknown {
  if (!(error instanceof ParameterError)) return error;
  const { parameter, message } = error;
  const problem = message.slice(parameter.length + 2);
  if (parameter === "prompt") return invalid("messages", problem, "context_length_exceeded");
  if (parameter === "grammar")
    return invalid(
      new Fields(body).take("response_format") === undefined ? "tools" : "response_format",
      problem,
    );
  if (parameter !== "maxTokens") return error;
  const newer = new Fields(body).take("max_completion_tokens") !== undefined;
  return invalid(newer ? "max_completion_tokens" : "max_tokens", problem, "context_length_exceeded");
}

async function answer(context: ServeContext, request: Request, body: unknown): Promise<Response> {
  const parsed = parse(context, body);
  const work = startWork(context, request);
  const generations = Array.from({ length: parsed.n }, (_, i) =>
    context.model.chat(parsed.messages, optionsOfChoice(parsed.options, i, work)),
  );
  const head = { id: newId("chatcmpl"), created: unixTime(), model: context.model.name };
  const withLogprobs = parsed.options.logprobs !== undefined;
  if (parsed.stream)
    return eventStream(chunks(context, parsed, generations, head, work), work, context.onError);
  const results = await allResults(work, generations);
  return Response.json({
    ...head,
    object: "chat.completion",
    choices: results.map((result, index) => {
      const answered = answerOf(parsed.tools, result.text);
      return {
        index,
        message: { role: "assistant", refusal: null, ...answered },
        logprobs: withLogprobs ? chatLogprobs(context.tokenizer, result.logprobs ?? []) : null,
        finish_reason: finishOf(result.finishReason, answered.tool_calls !== undefined),
      };
    }),
    usage: usageOf(
      results[0]!.promptTokens,
      results.reduce((sum, { tokens }) => sum + tokens.length, 0),
    ),
  });
}

function parse(context: ServeContext, body: unknown): ChatRequest {
  const fields = new Fields(body);
  const { model } = context;
  const shared = sharedFields(fields, model);
  const messages = parseMessages(fields.take("messages"));
  if (!model.chats)
    throw new ApiError(400, `messages: "${model.name}" has no chat template; use /v1/completions`, {
      param: "messages",
      code: "no_chat_template",
    });
  const maxTokens = fields.number("max_completion_tokens", { integer: true, min: 1 });
  const older = fields.number("max_tokens", { integer: true, min: 1 });
  if (maxTokens !== undefined && older !== undefined && maxTokens !== older)
    throw invalid("max_tokens", "differs from max_completion_tokens; give one of them");
  const wanted = fields.boolean("logprobs") ?? false;
  const top = fields.number("top_logprobs", { integer: true, min: 0, max: mostLogprobs });
  if (top !== undefined && !wanted) throw invalid("top_logprobs", "needs logprobs: true");
  standardFields(fields);
  const format = responseFormat(fields);
  const tools = readTools(fields, context.tokenizer.chatTemplate?.source ?? "");
  if (format !== undefined && tools?.demanded)
    throw invalid(
      "response_format",
      "cannot be kept where tool_choice asks for a call; leave one of them out",
    );
  // Where the model decides, it may answer in the format or call.
  const answers = format && tools ? { choice: [format, tools.calls] } : format;
  const grammar = tools?.demanded ? tools.calls : answers;
  if (grammar !== undefined && shared.options.ignoreEnd)
    throw invalid(
      "ignore_eos",
      "cannot go on after the end of an answer that response_format or tool_choice decides about",
    );
  fields.done();
  const budget = maxTokens ?? older;
  if (budget !== undefined && budget > model.contextLength)
    throw invalid(
      maxTokens === undefined ? "max_tokens" : "max_completion_tokens",
      `${budget} tokens exceed the model's context of ${model.contextLength}`,
      "context_length_exceeded",
    );
  return {
    ...shared,
    messages,
    tools,
    options: {
      ...shared.options,
      ...present({
        maxTokens: budget,
        logprobs: wanted ? (top ?? 0) : undefined,
        grammar,
        tools: tools?.shown,
      }),
    },
  };
}

function standardFields(fields: Fields): void {
  for (const [field, reason] of Object.entries(refused)) fields.refuse(field, reason);
  fields.only("modalities", [["text"]], "an answer here is text");
  fields.only("store", [false], "nothing is stored here");
  fields.only("prompt_cache_retention", ["in-memory", "in_memory", "24h"], "no such retention");
  fields.entries("metadata");
}

async function* chunks(
  context: ServeContext,
  { options, includeUsage, tools }: ChatRequest,
  generations: readonly Generation[],
  head: object,
  work: Work,
): AsyncGenerator<object> {
  const withLogprobs = options.logprobs !== undefined;
  const chunk = (choice: object) => ({
    ...head,
    object: "chat.completion.chunk",
    choices: [{ logprobs: null, finish_reason: null, ...choice }],
    ...(includeUsage ? { usage: null } : {}),
  });
  const opening = (index: number) => chunk({ index, delta: { role: "assistant", content: "" } });
  const opened = new Set<number>();
  const streams = generations.map(() => tools && new ToolStream(tools));
  for await (const { index, item } of merge(generations.map((g) => g.events()))) {
    if (!opened.has(index)) yield opening(index);
    opened.add(index);
    if (withLogprobs)
      yield chunk({
        index,
        delta: tools ? {} : { content: item.text },
        logprobs: chatLogprobs(context.tokenizer, [item]),
      });
    const stream = streams[index];
    if (stream) for (const delta of stream.push(item.text)) yield chunk({ index, delta });
    else if (withLogprobs) continue;
    else if (item.text !== "") yield chunk({ index, delta: { content: item.text } });
  }
  let completion = 0;
  let prompt = 0;
  for (const [index, generation] of generations.entries()) {
    const result = complete(await generation.result(), work);
    if (!opened.has(index)) yield opening(index);
    for (const delta of streams[index]?.flush() ?? []) yield chunk({ index, delta });
    const called = (streams[index]?.calls ?? 0) > 0;
    yield chunk({ index, delta: {}, finish_reason: finishOf(result.finishReason, called) });
    completion += result.tokens.length;
    prompt = result.promptTokens;
  }
  if (includeUsage)
    yield { ...head, object: "chat.completion.chunk", choices: [], usage: usageOf(prompt, completion) };
}
