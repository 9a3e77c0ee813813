/** An answer as the blocks of Anthropic's dialect, whole and as the events of a stream. Must not know requests. */
import { type AnswerEvent, AnswerParser, readAnswer } from "../../decode/answer.ts";
import type { Plan } from "../talk.ts";
import { callId, parsedArguments } from "../tools.ts";

export function blocksOf({ form, shortIds }: Plan, whole: string): { content: object[]; called: boolean } {
  const { reasoning, text, calls } = readAnswer(form, whole);
  const content: object[] = [];
  if (reasoning !== "") content.push({ ...thinkingBlock, thinking: reasoning });
  if (text !== "" || calls.length === 0) content.push({ ...textBlock, text });
  for (const { id, name, arguments: given } of calls)
    content.push({ ...toolBlock(callId("toolu", shortIds, id), name), input: parsedArguments(given) });
  return { content, called: calls.length > 0 };
}

const textBlock = { type: "text", text: "", citations: null };
/** Thoughts are not signed: they are given back to the model as they are sent. */
const thinkingBlock = { type: "thinking", thinking: "", signature: "" };
const toolBlock = (id: string, name: string) => ({ type: "tool_use", id, name, input: {} });

/** Blocks of a stream, one open at a time. */
export class BlockStream {
  readonly #parser: AnswerParser;
  readonly #shortIds: boolean;
  #index = -1;
  #open: "text" | "reasoning" | "call" | undefined;

  constructor({ form, shortIds }: Plan) {
    this.#parser = new AnswerParser(form);
    this.#shortIds = shortIds;
  }

  get called(): boolean {
    return this.#parser.calls > 0;
  }

  push(text: string): object[] {
    return this.#parser.push(text).flatMap((event) => this.#events(event));
  }

  end(): object[] {
    const events = this.#parser.flush().flatMap((event) => this.#events(event));
    // An answer of nothing is an empty text.
    if (this.#index < 0) events.push(...this.#begin("text", textBlock));
    return [...events, ...this.#close()];
  }

  #events(event: AnswerEvent): object[] {
    switch (event.kind) {
      case "text":
        return [
          ...(this.#open === "text" ? [] : this.#begin("text", textBlock)),
          this.#delta({ type: "text_delta", text: event.text }),
        ];
      case "reasoning":
        return [
          ...(this.#open === "reasoning" ? [] : this.#begin("reasoning", thinkingBlock)),
          this.#delta({ type: "thinking_delta", thinking: event.text }),
        ];
      case "call":
        return this.#begin("call", toolBlock(callId("toolu", this.#shortIds, event.id), event.name));
      case "arguments":
        return [this.#delta({ type: "input_json_delta", partial_json: event.text })];
      default:
        return event satisfies never;
    }
  }

  #begin(kind: "text" | "reasoning" | "call", block: object): object[] {
    const before = this.#close();
    this.#open = kind;
    this.#index++;
    return [...before, { type: "content_block_start", index: this.#index, content_block: block }];
  }

  #delta(delta: object): object {
    return { type: "content_block_delta", index: this.#index, delta };
  }

  #close(): object[] {
    if (this.#open === undefined) return [];
    this.#open = undefined;
    return [{ type: "content_block_stop", index: this.#index }];
  }
}
