/**
 * POST /v1/responses and the routes of what it keeps. Knows the objects and events of the endpoint; what is asked for
 * lies in parameters.ts.
 */
import { ParameterError } from "../../base/errors.ts";
import type { ChatMessage, Generation, GenerationResult, TokenEvent } from "../../tasks/types.ts";
import {
  complete,
  newId,
  type ServeContext,
  startWork,
  unixTime,
  type Work,
  wholeResult,
} from "../context.ts";
import { apiError, invalid } from "../errors.ts";
import { chatLogprobs } from "../logprobs.ts";
import { eventStream } from "../stream.ts";
import { namingGrammar, needTemplate, planTalk } from "../talk.ts";
import { responsesDialect } from "./dialect.ts";
import { type Item, messagesOf } from "./items.ts";
import { Output } from "./output.ts";
import { parseRequest, type ResponseRequest } from "./parameters.ts";
import { ResponseStore } from "./store.ts";

/** What is kept of a response. */
interface Kept {
  readonly response: object;
  /** What this request added, newest last. */
  readonly input: readonly Item[];
  /** The conversation so far, its answer included, without instructions. */
  readonly messages: readonly ChatMessage[];
}

/** One response under way. */
interface Job {
  readonly request: ResponseRequest;
  readonly head: { readonly id: string } & Readonly<Record<string, unknown>>;
  readonly output: Output;
  readonly messages: readonly ChatMessage[];
  readonly owner: string;
}

export class Responses {
  private readonly context: ServeContext;
  private readonly store = new ResponseStore<Kept>();

  constructor(context: ServeContext) {
    this.context = context;
  }

  async create(request: Request, body: unknown): Promise<Response> {
    try {
      return await this.answer(request, body);
    } catch (error) {
      throw error instanceof ParameterError ? apiError(error, responsesDialect()) : error;
    }
  }

  get(request: Request, id: string): Response {
    queryOf(request, []);
    return Response.json(this.store.get(id, this.context.ownerOf(request)).response);
  }

  delete(request: Request, id: string): Response {
    queryOf(request, []);
    this.store.delete(id, this.context.ownerOf(request));
    return Response.json({ id, object: "response", deleted: true });
  }

  /** The items of one request, the newest first unless asked otherwise. */
  inputItems(request: Request, id: string): Response {
    const { input } = this.store.get(id, this.context.ownerOf(request));
    const searchParams = queryOf(request, ["order", "limit", "after"]);
    const order = searchParams.get("order") ?? "desc";
    const limit = Number(searchParams.get("limit") ?? 20);
    const after = searchParams.get("after");
    if (order !== "asc" && order !== "desc") throw invalid("order", "must be asc or desc");
    if (!Number.isInteger(limit) || limit < 1 || limit > 100)
      throw invalid("limit", "must be an integer from 1 to 100");
    const sorted = order === "asc" ? input : input.toReversed();
    const from = after === null ? 0 : sorted.findIndex((item) => item.id === after) + 1;
    if (after !== null && from === 0) throw invalid("after", "is the id of none of the items");
    const data = sorted.slice(from, from + limit);
    return Response.json({
      object: "list",
      data,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
      has_more: sorted.length > from + limit,
    });
  }

  private async answer(request: Request, body: unknown): Promise<Response> {
    const { model } = this.context;
    const parsed = parseRequest(model, body);
    needTemplate(model, "input", "/v1/completions");
    const owner = this.context.ownerOf(request);
    const before =
      parsed.previous === undefined
        ? []
        : this.store.get(parsed.previous, owner, "previous_response_id").messages;
    const messages = messagesOf(before, parsed.input);
    const plan = await planTalk(this.context, {
      messages:
        parsed.instructions === undefined
          ? messages
          : [{ role: "system", content: parsed.instructions }, ...messages],
      tools: parsed.tools,
      format: parsed.format,
    });
    const logprobs = (events: readonly TokenEvent[]) => chatLogprobs(this.context.tokenizer, events).content;
    const job: Job = {
      request: parsed,
      output: new Output(plan, parsed.logprobs ? logprobs : undefined),
      messages,
      owner,
      head: {
        id: newId("resp"),
        object: "response",
        created_at: unixTime(),
        model: model.name,
        previous_response_id: parsed.previous ?? null,
        error: null,
        incomplete_details: null,
        store: parsed.store,
        ...parsed.told,
      },
    };
    return await namingGrammar(plan.grammarField, async () => {
      const work = startWork(this.context, request);
      const options = { ...parsed.options, ...plan.options, ...work.options };
      const generation = model.chat(plan.asked(), options);
      const { onError } = this.context;
      if (parsed.stream)
        return eventStream(this.events(job, generation, work), work, onError, responsesDialect());
      for await (const event of generation.events()) job.output.push(event);
      const result = await wholeResult(work, generation);
      job.output.end(statusOf(result));
      return Response.json(this.finish(job, result));
    });
  }

  /** The whole response, kept if that was asked for. */
  private finish(job: Job, result: GenerationResult): object {
    const { request, head, messages, owner, output } = job;
    const status = statusOf(result);
    const cut = status === "incomplete";
    const response = {
      ...head,
      status,
      incomplete_details: cut ? { reason: "max_output_tokens" } : null,
      completed_at: cut ? null : unixTime(),
      output: output.items,
      usage: {
        input_tokens: result.promptTokens,
        input_tokens_details: { cached_tokens: result.cachedTokens ?? 0 },
        output_tokens: result.tokens.length,
        output_tokens_details: { reasoning_tokens: output.reasoningTokens },
        total_tokens: result.promptTokens + result.tokens.length,
      },
    };
    if (request.store)
      this.store.put(head.id, owner, {
        response,
        input: request.input,
        messages: [...messages, ...messagesOf([], output.items)],
      });
    return response;
  }

  private async *events(job: Job, generation: Generation, work: Work): AsyncGenerator<object> {
    const { head, output } = job;
    const begun = { ...head, status: "in_progress", output: [], usage: null };
    const opening = [
      { type: "response.created", response: begun },
      { type: "response.in_progress", response: begun },
    ];
    let opened = false;
    for await (const event of generation.events()) {
      if (!opened) yield* opening;
      opened = true;
      yield* output.push(event);
    }
    const result = complete(await generation.result(), work);
    if (!opened) yield* opening;
    yield* output.end(statusOf(result));
    yield { type: `response.${statusOf(result)}`, response: this.finish(job, result) };
  }
}

/** What stands behind the question mark, and nothing but these. */
function queryOf(request: Request, served: readonly string[]): URLSearchParams {
  const { searchParams } = new URL(request.url);
  for (const name of searchParams.keys())
    if (!served.includes(name)) throw invalid(name, "is not served", "unknown_parameter");
  return searchParams;
}

const statusOf = ({ finishReason }: GenerationResult): "completed" | "incomplete" =>
  finishReason === "length" ? "incomplete" : "completed";
