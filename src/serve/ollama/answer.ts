/** The answer of Ollama's chat and generate: a line for each piece of it, then one with the counts and times. */
import { type AnswerEvent, AnswerParser, readAnswer } from "../../decode/answer.ts";
import type { Generation, GenerationResult, TokenEvent } from "../../tasks/types.ts";
import { complete, type ServeContext, type Work, wholeResult } from "../context.ts";
import { tokenText } from "../logprobs.ts";
import { present } from "../parameters.ts";
import { eventStream } from "../stream.ts";
import type { Plan } from "../talk.ts";
import { parsedArguments } from "../tools.ts";
import { ollama } from "./dialect.ts";
import type { OllamaShared } from "./options.ts";

export interface AnswerPart {
  readonly content: string;
  readonly thinking?: string;
  readonly tool_calls?: readonly object[];
}

/** Puts a part of the answer where the endpoint has it. */
export type Place = (part: AnswerPart) => object;

const nanoseconds = (ms: number): number => Math.round(ms * 1e6);
const callOf = (name: string, given: string): object => ({
  function: { name, arguments: parsedArguments(given) },
});

/** @param more what the last line tells besides */
export async function answer(
  context: ServeContext,
  { stream, logprobs }: OllamaShared,
  generation: Generation,
  work: Work,
  { form }: Pick<Plan, "form">,
  place: Place,
  more: (result: GenerationResult) => object = () => ({}),
): Promise<Response> {
  const head = (): object => ({ model: context.model.name, created_at: new Date().toISOString() });
  const probabilities = (events: readonly TokenEvent[]): object =>
    logprobs ? { logprobs: events.map((event) => logprob(context, event)) } : {};
  async function* lines(): AsyncGenerator<object> {
    const parts = new Parts(form);
    for await (const event of generation.events()) {
      const [first, ...others] = parts.push(event.text);
      // The token's own line comes first, be its text still undecided.
      if (first !== undefined || logprobs)
        yield { ...head(), ...place(first ?? { content: "" }), ...probabilities([event]), done: false };
      for (const part of others) yield { ...head(), ...place(part), done: false };
    }
    const result = complete(await generation.result(), work);
    for (const part of parts.end()) yield { ...head(), ...place(part), done: false };
    yield { ...head(), ...place({ content: "" }), ...ending(result), ...more(result) };
  }
  if (stream) return eventStream(lines(), work, context.onError, ollama);
  const result = await wholeResult(work, generation);
  const { reasoning, text, calls } = readAnswer(form, result.text);
  return Response.json({
    ...head(),
    ...place({
      content: text,
      ...present({
        thinking: reasoning === "" ? undefined : reasoning,
        tool_calls:
          calls.length > 0 ? calls.map(({ name, arguments: given }) => callOf(name, given)) : undefined,
      }),
    }),
    ...probabilities(result.logprobs ?? []),
    ...ending(result),
    ...more(result),
  });
}

/** Parts of a stream: text and thoughts as they come, calls when they are complete. */
class Parts {
  readonly #parser: AnswerParser;
  #call: { readonly name: string; arguments: string } | undefined;

  constructor(form: Plan["form"]) {
    this.#parser = new AnswerParser(form);
  }

  push(text: string): AnswerPart[] {
    return this.#parser.push(text).flatMap((event) => this.#part(event));
  }

  end(): AnswerPart[] {
    return [...this.#parser.flush().flatMap((event) => this.#part(event)), ...this.#called()];
  }

  #part(event: AnswerEvent): AnswerPart[] {
    if (event.kind === "arguments") {
      this.#call!.arguments += event.text;
      return [];
    }
    const before = this.#called();
    if (event.kind === "call") this.#call = { name: event.name, arguments: "" };
    else if (event.kind === "reasoning") return [...before, { content: "", thinking: event.text }];
    else return [...before, { content: event.text }];
    return before;
  }

  #called(): AnswerPart[] {
    const call = this.#call;
    this.#call = undefined;
    return call ? [{ content: "", tool_calls: [callOf(call.name, call.arguments)] }] : [];
  }
}

const ending = ({ finishReason, promptTokens, tokens, timing }: GenerationResult): object => ({
  done: true,
  done_reason: finishReason,
  total_duration: nanoseconds(timing.firstTokenMs + timing.generateMs),
  load_duration: 0,
  prompt_eval_count: promptTokens,
  prompt_eval_duration: nanoseconds(timing.promptMs),
  eval_count: tokens.length,
  eval_duration: nanoseconds(timing.firstTokenMs - timing.promptMs + timing.generateMs),
});

const logprob = ({ tokenizer }: ServeContext, { token, logprob, top = [] }: TokenEvent): object => ({
  token: tokenText(tokenizer, token),
  logprob,
  top_logprobs: top.map((other) => ({ token: tokenText(tokenizer, other.token), logprob: other.logprob })),
});

/** What is answered when a model is only to be made ready: it is. */
export const ready = ({ model }: ServeContext, place: Place): Response =>
  Response.json({
    model: model.name,
    created_at: new Date().toISOString(),
    ...place({ content: "" }),
    done: true,
    done_reason: "load",
  });
