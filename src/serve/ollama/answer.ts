/** The answer of Ollama's chat and generate: a line for each piece of text, then one with the counts and times. */
import type { Generation, GenerationResult, TokenEvent } from "../../tasks/types.ts";
import { allResults, complete, type ServeContext, type Work } from "../context.ts";
import { tokenText } from "../logprobs.ts";
import { eventStream } from "../stream.ts";
import { ollama } from "./dialect.ts";
import type { OllamaShared } from "./options.ts";

/** Puts a piece of text where the endpoint has it. */
export type Place = (text: string) => object;

const nanoseconds = (ms: number): number => Math.round(ms * 1e6);

/** @param more what the last line tells besides */
export async function answer(
  context: ServeContext,
  { stream, logprobs }: OllamaShared,
  generation: Generation,
  work: Work,
  place: Place,
  more: (result: GenerationResult) => object = () => ({}),
): Promise<Response> {
  const head = (): object => ({ model: context.model.name, created_at: new Date().toISOString() });
  const probabilities = (events: readonly TokenEvent[]): object =>
    logprobs ? { logprobs: events.map((event) => logprob(context, event)) } : {};
  async function* lines(): AsyncGenerator<object> {
    for await (const event of generation.events())
      if (event.text !== "" || logprobs)
        yield { ...head(), ...place(event.text), ...probabilities([event]), done: false };
    const result = complete(await generation.result(), work);
    yield { ...head(), ...place(""), ...ending(result), ...more(result) };
  }
  if (stream) return eventStream(lines(), work, context.onError, ollama);
  const [result] = (await allResults(work, [generation])) as [GenerationResult];
  return Response.json({
    ...head(),
    ...place(result.text),
    ...probabilities(result.logprobs ?? []),
    ...ending(result),
    ...more(result),
  });
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
    ...place(""),
    done: true,
    done_reason: "load",
  });
