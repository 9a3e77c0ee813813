/**
 * What a response puts out, item by item: thoughts, messages and calls of functions, with the events that a stream of
 * them has. Knows items and their events; not requests.
 */
import { type AnswerEvent, AnswerParser } from "../../decode/answer.ts";
import type { TokenEvent } from "../../tasks/types.ts";
import { newId } from "../context.ts";
import type { Plan } from "../talk.ts";
import { callId } from "../tools.ts";
import type { Item } from "./items.ts";

type Logprobs = (events: readonly TokenEvent[]) => readonly object[];

/** An item under way. */
interface Open {
  readonly kind: "message" | "reasoning" | "function_call";
  readonly id: string;
  readonly call?: { readonly call_id: string; readonly name: string };
  text: string;
  readonly logprobs: object[];
}

export class Output {
  /** Items that are complete. */
  readonly items: Item[] = [];
  /** Tokens of thoughts, with what closes them. */
  reasoningTokens = 0;
  readonly #parser: AnswerParser;
  readonly #shortIds: boolean;
  readonly #logprobs: Logprobs | undefined;
  #open: Open | undefined;
  /** Tokens of which it is not decided yet whether they are of a message. */
  #tokens: TokenEvent[] = [];

  /** @param logprobs of tokens, where they are asked for */
  constructor({ form, shortIds }: Plan, logprobs: Logprobs | undefined) {
    this.#parser = new AnswerParser(form);
    this.#shortIds = shortIds;
    this.#logprobs = logprobs;
  }

  push(token: TokenEvent): object[] {
    if (this.#logprobs) this.#tokens.push(token);
    const events = this.#parser.push(token.text).flatMap((event) => this.#events(event));
    if (this.#open?.kind === "reasoning") this.reasoningTokens++;
    return events;
  }

  end(status: "completed" | "incomplete"): object[] {
    const events = this.#parser.flush().flatMap((event) => this.#events(event));
    // An answer of nothing is an empty message.
    if (this.#open === undefined && this.items.length === 0) events.push(...this.#begin("message"));
    if (this.#open?.kind === "message" && this.#tokens.length > 0) events.push(this.#textDelta(""));
    return [...events, ...this.#close(status)];
  }

  #events(event: AnswerEvent): object[] {
    if (event.kind === "text")
      return [...(this.#open?.kind === "message" ? [] : this.#begin("message")), this.#textDelta(event.text)];
    this.#tokens = [];
    if (event.kind === "reasoning")
      return [
        ...(this.#open?.kind === "reasoning" ? [] : this.#begin("reasoning")),
        this.#delta("response.reasoning_text.delta", event.text, { content_index: 0 }),
      ];
    if (event.kind === "arguments")
      return [this.#delta("response.function_call_arguments.delta", event.text, {})];
    const { name } = event;
    return this.#begin("function_call", { call_id: callId("call", this.#shortIds, event.id), name });
  }

  #textDelta(text: string): object {
    const logprobs = this.#logprobs?.(lastOf(this.#tokens, text.length)) ?? [];
    this.#tokens = [];
    this.#open!.logprobs.push(...logprobs);
    return this.#delta("response.output_text.delta", text, { content_index: 0, logprobs });
  }

  #delta(type: string, delta: string, more: object): object {
    this.#open!.text += delta;
    return { type, ...this.#place, ...more, delta };
  }

  get #place(): { readonly item_id: string; readonly output_index: number } {
    return { item_id: this.#open!.id, output_index: this.items.length };
  }

  #begin(kind: Open["kind"], call?: Open["call"]): object[] {
    const before = this.#close("completed");
    const prefix = kind === "message" ? "msg" : kind === "reasoning" ? "rs" : "fc";
    this.#open = { kind, id: newId(prefix), ...(call && { call }), text: "", logprobs: [] };
    const item = this.#item("in_progress", false);
    const events: object[] = [
      ...before,
      { type: "response.output_item.added", output_index: this.items.length, item },
    ];
    if (kind !== "function_call")
      events.push({
        type: "response.content_part.added",
        ...this.#place,
        content_index: 0,
        part: this.#part(),
      });
    return events;
  }

  #close(status: "completed" | "incomplete"): object[] {
    if (this.#open === undefined) return [];
    const { kind, text, call, logprobs } = this.#open;
    const place = this.#place;
    const item = this.#item(status, true);
    const events: object[] = [];
    if (kind === "function_call")
      events.push({
        type: "response.function_call_arguments.done",
        ...{ ...place, name: call!.name, arguments: text },
      });
    else {
      const content = { ...place, content_index: 0 };
      if (kind === "message") events.push({ type: "response.output_text.done", ...content, text, logprobs });
      else events.push({ type: "response.reasoning_text.done", ...content, text });
      events.push({ type: "response.content_part.done", ...content, part: this.#part() });
    }
    events.push({ type: "response.output_item.done", output_index: place.output_index, item });
    this.items.push(item);
    this.#open = undefined;
    return events;
  }

  #part() {
    const { kind, text, logprobs } = this.#open!;
    return kind === "reasoning"
      ? ({ type: "reasoning_text", text } as const)
      : { type: "output_text", text, annotations: [], logprobs: [...logprobs] };
  }

  #item(status: string, whole: boolean): Item {
    const { kind, id, call, text } = this.#open!;
    const common = { id, status };
    if (kind === "function_call") return { ...common, type: kind, ...call!, arguments: text };
    const content = whole ? [this.#part()] : [];
    if (kind === "message") return { ...common, type: kind, role: "assistant", content };
    return {
      ...common,
      type: kind,
      summary: [],
      content: content as { type: "reasoning_text"; text: string }[],
    };
  }
}

/** The last tokens that so many characters came from: those before were of marks. */
function lastOf(tokens: readonly TokenEvent[], characters: number): readonly TokenEvent[] {
  let from = tokens.length;
  let length = 0;
  while (from > 0 && (length < characters || tokens[from - 1]!.text === ""))
    length += tokens[--from]!.text.length;
  return tokens.slice(from);
}
