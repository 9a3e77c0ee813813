/**
 * POST /v1/responses and the routes of what it keeps. Knows the objects and events of the endpoint; what is asked for
 * lies in parameters.ts.
 */
import { ParameterError } from "../../base/errors.ts";
import type { ChatMessage, Generation, GenerationResult, TokenEvent } from "../../tasks/types.ts";
import {
  allResults,
  complete,
  newId,
  type ServeContext,
  startWork,
  unixTime,
  type Work,
} from "../context.ts";
import { ApiError, apiError } from "../errors.ts";
import { chatLogprobs } from "../logprobs.ts";
import { eventStream } from "../stream.ts";
import { responsesDialect } from "./dialect.ts";
import { type InputItem, messageOf } from "./items.ts";
import { parseRequest, type ResponseRequest } from "./parameters.ts";
import { ResponseStore } from "./store.ts";

/** What is kept of a response. */
interface Kept {
  readonly response: object;
  /** What this request added, newest last. */
  readonly input: readonly InputItem[];
  /** The conversation so far, its answer included, without instructions. */
  readonly messages: readonly ChatMessage[];
}

/** One response under way. */
interface Job {
  readonly request: ResponseRequest;
  readonly head: Readonly<Record<string, unknown>>;
  readonly itemId: string;
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
    return Response.json(this.store.get(id, this.context.ownerOf(request)).response);
  }

  delete(request: Request, id: string): Response {
    this.store.delete(id, this.context.ownerOf(request));
    return Response.json({ id, object: "response", deleted: true });
  }

  /** The items of one request, the newest first unless asked otherwise. */
  inputItems(request: Request, id: string): Response {
    const { input } = this.store.get(id, this.context.ownerOf(request));
    const { searchParams } = new URL(request.url);
    for (const name of searchParams.keys())
      if (name !== "order" && name !== "limit")
        throw new ApiError(400, `${name}: is not served`, { param: name, code: "unknown_parameter" });
    const order = searchParams.get("order") ?? "desc";
    const limit = Number(searchParams.get("limit") ?? 20);
    if (order !== "asc" && order !== "desc")
      throw new ApiError(400, "order: must be asc or desc", { param: "order", code: "invalid_value" });
    if (!Number.isInteger(limit) || limit < 1 || limit > 100)
      throw new ApiError(400, "limit: must be an integer from 1 to 100", {
        param: "limit",
        code: "invalid_value",
      });
    const sorted = order === "asc" ? input : input.toReversed();
    const data = sorted.slice(0, limit);
    return Response.json({
      object: "list",
      data,
      first_id: data[0]!.id,
      last_id: data.at(-1)!.id,
      has_more: sorted.length > limit,
    });
  }

  private async answer(request: Request, body: unknown): Promise<Response> {
    const { model } = this.context;
    const parsed = parseRequest(model, body);
    if (!model.chats)
      throw new ApiError(400, `input: "${model.name}" has no chat template; use /v1/completions`, {
        param: "input",
        code: "no_chat_template",
      });
    const owner = this.context.ownerOf(request);
    const before =
      parsed.previous === undefined
        ? []
        : this.store.get(parsed.previous, owner, "previous_response_id").messages;
    const messages = [...before, ...parsed.input.map(messageOf)];
    const prompt =
      parsed.instructions === undefined
        ? messages
        : [{ role: "system", content: parsed.instructions }, ...messages];
    const job: Job = {
      request: parsed,
      itemId: newId("msg"),
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
    const work = startWork(this.context, request);
    const generation = model.chat(prompt, { ...parsed.options, ...work.options });
    if (parsed.stream)
      return eventStream(this.events(job, generation, work), work, this.context.onError, responsesDialect());
    const [result] = (await allResults(work, [generation])) as [GenerationResult];
    return Response.json(this.finish(job, result));
  }

  /** The whole response, kept if that was asked for. */
  private finish(job: Job, result: GenerationResult): object {
    const { request, head, messages, owner } = job;
    const cut = result.finishReason === "length";
    const response = {
      ...head,
      status: cut ? "incomplete" : "completed",
      incomplete_details: cut ? { reason: "max_output_tokens" } : null,
      completed_at: cut ? null : unixTime(),
      output: [this.item(job, result, cut ? "incomplete" : "completed")],
      usage: {
        input_tokens: result.promptTokens,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: result.tokens.length,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: result.promptTokens + result.tokens.length,
      },
    };
    if (request.store)
      this.store.put(head.id as string, owner, {
        response,
        input: request.input,
        messages: [...messages, { role: "assistant", content: result.text }],
      });
    return response;
  }

  private item(
    { itemId, request }: Job,
    { text, logprobs }: Partial<GenerationResult>,
    status: string,
  ): object {
    return {
      id: itemId,
      type: "message",
      status,
      role: "assistant",
      content: text === undefined ? [] : [this.part(text, request.logprobs ? (logprobs ?? []) : [])],
    };
  }

  private part(text: string, events: readonly TokenEvent[]): object {
    const logprobs = chatLogprobs(this.context.tokenizer, events).content;
    return { type: "output_text", text, annotations: [], logprobs };
  }

  private async *events(job: Job, generation: Generation, work: Work): AsyncGenerator<object> {
    const { head, itemId, request } = job;
    const place = { item_id: itemId, output_index: 0, content_index: 0 };
    const begun = { ...head, status: "in_progress", output: [], usage: null };
    const opening = [
      { type: "response.created", response: begun },
      { type: "response.in_progress", response: begun },
      { type: "response.output_item.added", output_index: 0, item: this.item(job, {}, "in_progress") },
      { type: "response.content_part.added", ...place, part: this.part("", []) },
    ];
    let opened = false;
    for await (const event of generation.events()) {
      if (!opened) yield* opening;
      opened = true;
      if (event.text === "" && !request.logprobs) continue;
      const logprobs = request.logprobs ? chatLogprobs(this.context.tokenizer, [event]).content : [];
      yield { type: "response.output_text.delta", ...place, delta: event.text, logprobs };
    }
    const result = complete(await generation.result(), work);
    if (!opened) yield* opening;
    const response = this.finish(job, result) as { status: string; output: object[] };
    const [item] = response.output as [{ content: [{ text: string; logprobs: object[] }] }];
    const [part] = item.content;
    yield { type: "response.output_text.done", ...place, text: part.text, logprobs: part.logprobs };
    yield { type: "response.content_part.done", ...place, part };
    yield { type: "response.output_item.done", output_index: 0, item };
    yield { type: `response.${response.status}`, response };
  }
}
