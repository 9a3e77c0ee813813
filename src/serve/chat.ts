/**
 * POST /v1/chat/completions: reads the request, starts the generations, and writes the answer whole or as
 * a stream. Knows the shape of the endpoint; the fields that it shares lie in parameters.ts.
 */
import { ParameterError } from "../base/errors.ts";
import { type AnswerEvent, AnswerParser, readAnswer } from "../decode/answer.ts";
import type { ChatOptions, FinishReason, Generation, GenerationResult } from "../tasks/types.ts";
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
import { invalid } from "./errors.ts";
import { Fields } from "./fields.ts";
import { chatLogprobs } from "./logprobs.ts";
import { parseMessages } from "./messages.ts";
import {
  mostLogprobs,
  optionsOfChoice,
  present,
  type Shared,
  sharedFields,
  tokenBudget,
} from "./parameters.ts";
import { responseFormat } from "./response-format.ts";
import { eventStream, merge } from "./stream.ts";
import { namingGrammar, needTemplate, type Plan, planTalk } from "./talk.ts";
import { callId, readTools } from "./tools.ts";

interface ChatRequest extends Shared {
  readonly plan: Plan;
  readonly options: ChatOptions;
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
    const parsed = await parse(context, body);
    return await namingGrammar(parsed.plan.grammarField, () => answer(context, request, parsed));
  } catch (error) {
    throw named(error, body);
  }
}

/** The library speaks of the prompt and of maxTokens; this endpoint calls them otherwise. */
function named(error: unknown, body: unknown): unknown {
  if (!(error instanceof ParameterError)) return error;
  const { parameter, problem } = error;
  if (parameter === "prompt") return invalid("messages", problem, "context_length_exceeded");
  if (parameter !== "maxTokens") return error;
  const newer = new Fields(body).take("max_completion_tokens") !== undefined;
  return invalid(newer ? "max_completion_tokens" : "max_tokens", problem, "context_length_exceeded");
}

async function answer(context: ServeContext, request: Request, parsed: ChatRequest): Promise<Response> {
  const work = startWork(context, request);
  const generations = Array.from({ length: parsed.n }, (_, i) =>
    context.model.chat(parsed.plan.asked(), optionsOfChoice(parsed.options, i, work)),
  );
  const head = { id: newId("chatcmpl"), created: unixTime(), model: context.model.name };
  const withLogprobs = parsed.options.logprobs !== undefined;
  if (parsed.stream)
    return eventStream(chunks(context, parsed, generations, head, work), work, context.onError);
  const results = await allResults(work, generations);
  return Response.json({
    ...head,
    object: "chat.completion",
    choices: results.map((result, index) => ({
      index,
      ...answered(parsed.plan, result),
      logprobs: withLogprobs ? chatLogprobs(context.tokenizer, result.logprobs ?? []) : null,
    })),
    usage: usageOf(
      results[0]!.promptTokens,
      results.reduce((sum, { tokens }) => sum + tokens.length, 0),
    ),
  });
}

function answered({ form, shortIds }: Plan, { text: whole, finishReason }: GenerationResult): object {
  const { reasoning, text, calls } = readAnswer(form, whole);
  const called = calls.map(({ id, name, arguments: given }) => ({
    id: callId("call", shortIds, id),
    type: "function",
    function: { name, arguments: given },
  }));
  return {
    message: {
      role: "assistant",
      refusal: null,
      content: text === "" && calls.length > 0 ? null : text,
      ...present({
        reasoning_content: reasoning === "" ? undefined : reasoning,
        tool_calls: calls.length > 0 ? called : undefined,
      }),
    },
    finish_reason: finishOf(finishReason, calls.length > 0),
  };
}

/** A call that was cut off is told as cut off. */
const finishOf = (reason: FinishReason, called: boolean): string =>
  called && reason === "stop" ? "tool_calls" : reason;

async function parse(context: ServeContext, body: unknown): Promise<ChatRequest> {
  const fields = new Fields(body);
  const { model } = context;
  const shared = sharedFields(fields, model);
  const messages = parseMessages(fields.take("messages"));
  needTemplate(model, "messages", "/v1/completions");
  const maxTokens = tokenBudget(fields, "max_completion_tokens", model);
  const older = tokenBudget(fields, "max_tokens", model);
  if (maxTokens !== undefined && older !== undefined && maxTokens !== older)
    throw invalid("max_tokens", "differs from max_completion_tokens; give one of them");
  const wanted = fields.boolean("logprobs") ?? false;
  const top = fields.number("top_logprobs", { integer: true, min: 0, max: mostLogprobs });
  if (top !== undefined && !wanted) throw invalid("top_logprobs", "needs logprobs: true");
  standardFields(fields);
  const format = responseFormat(fields);
  const tools = readTools(fields);
  const variables = fields.entries("chat_template_kwargs");
  fields.done();
  const plan = await planTalk(context, {
    messages,
    tools,
    format: format && { grammar: format, field: "response_format" },
    variables: variables.length > 0 ? Object.fromEntries(variables) : undefined,
  });
  const { grammar } = plan.options;
  if (grammar !== undefined && shared.options.ignoreEnd)
    throw invalid(
      "ignore_eos",
      "cannot go on after the end of an answer that response_format or tool_choice decides about",
    );
  return {
    ...shared,
    plan,
    options: {
      ...shared.options,
      ...plan.options,
      ...present({ maxTokens: maxTokens ?? older, logprobs: wanted ? (top ?? 0) : undefined }),
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
  { options, includeUsage, plan }: ChatRequest,
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
  const parsers = generations.map(() => new AnswerParser(plan.form));
  const deltas = (events: readonly AnswerEvent[]) => events.map((event) => deltaOf(plan, event));
  for await (const { index, item } of merge(generations.map((g) => g.events()))) {
    if (!opened.has(index)) yield opening(index);
    opened.add(index);
    const made = deltas(parsers[index]!.push(item.text));
    // A token's log-probabilities come with the last piece that it completed, or else by themselves.
    const last = withLogprobs ? (made.pop() ?? { content: "" }) : undefined;
    for (const delta of made) yield chunk({ index, delta });
    if (last) yield chunk({ index, delta: last, logprobs: chatLogprobs(context.tokenizer, [item]) });
  }
  let completion = 0;
  let prompt = 0;
  for (const [index, generation] of generations.entries()) {
    const result = complete(await generation.result(), work);
    if (!opened.has(index)) yield opening(index);
    for (const delta of deltas(parsers[index]!.flush())) yield chunk({ index, delta });
    const called = parsers[index]!.calls > 0;
    yield chunk({ index, delta: {}, finish_reason: finishOf(result.finishReason, called) });
    completion += result.tokens.length;
    prompt = result.promptTokens;
  }
  if (includeUsage)
    yield { ...head, object: "chat.completion.chunk", choices: [], usage: usageOf(prompt, completion) };
}

function deltaOf({ shortIds }: Plan, event: AnswerEvent): object {
  if (event.kind === "text") return { content: event.text };
  if (event.kind === "reasoning") return { reasoning_content: event.text };
  const { index } = event;
  const made =
    event.kind === "call"
      ? {
          ...{ index, id: callId("call", shortIds, event.id), type: "function" },
          function: { name: event.name, arguments: "" },
        }
      : { index, function: { arguments: event.text } };
  return { tool_calls: [made] };
}
