/**
 * POST /v1/completions: text in, text out. Reads the request, starts a generation for each prompt and choice,
 * and writes the answer whole or as a stream. The fields that it shares with chat lie in parameters.ts.
 */
import type { GenerateOptions, Generation, TokenEvent } from "../tasks/types.ts";
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
import { completionLogprobs, type PlacedToken } from "./logprobs.ts";
import {
  mostChoices,
  mostLogprobs,
  optionsOfChoice,
  present,
  type Shared,
  sharedFields,
} from "./parameters.ts";
import { checkContext, type Prompt, parsePrompts, promptLogprobs } from "./prompts.ts";
import { eventStream, merge } from "./stream.ts";

/** What OpenAI's endpoint takes when nothing is said. */
const defaultMaxTokens = 16;

interface CompletionRequest extends Shared {
  readonly prompts: readonly Prompt[];
  readonly options: GenerateOptions;
  readonly echo: boolean;
  readonly maxTokens: number;
}

/** One choice: its prompt, and its generation unless no token was asked for. */
interface Choice {
  readonly prompt: Prompt;
  readonly generation: Generation | undefined;
  /** Of the prompt, when echo and log-probabilities were asked for. */
  readonly before: readonly PlacedToken[];
}

export async function completions(context: ServeContext, request: Request, body: unknown): Promise<Response> {
  const parsed = await parse(context, body);
  const work = startWork(context, request);
  const choices = await start(context, parsed, work);
  const head = {
    id: newId("cmpl"),
    object: "text_completion",
    created: unixTime(),
    model: context.model.name,
  };
  if (parsed.stream) return eventStream(chunks(context, parsed, choices, head, work), work, context.onError);
  const results = await allResults(
    work,
    choices.flatMap(({ generation }) => generation ?? []),
  );
  return Response.json({
    ...head,
    choices: choices.map((choice, index) => {
      const result = results[index];
      const echoed = parsed.echo ? choice.prompt.text : "";
      return {
        index,
        text: echoed + (result?.text ?? ""),
        logprobs: logprobsOf(context, parsed, [
          ...choice.before,
          ...place(result?.logprobs ?? [], echoed.length),
        ]),
        finish_reason: result?.finishReason ?? "length",
      };
    }),
    usage: usageOf(
      promptTokens(parsed),
      results.reduce((sum, { tokens }) => sum + tokens.length, 0),
    ),
  });
}

async function parse(context: ServeContext, body: unknown): Promise<CompletionRequest> {
  const fields = new Fields(body);
  const shared = sharedFields(fields, context.model);
  const prompts = await parsePrompts(context, fields.take("prompt"));
  if (prompts.length * shared.n > mostChoices)
    throw invalid(
      "n",
      `${prompts.length} prompts with ${shared.n} choices each are more than ${mostChoices}`,
    );
  const echo = fields.boolean("echo") ?? false;
  const maxTokens = fields.number("max_tokens", { integer: true, min: 0 }) ?? defaultMaxTokens;
  if (maxTokens === 0 && !echo) throw invalid("max_tokens", "must be at least 1, or 0 together with echo");
  const logprobs = fields.number("logprobs", { integer: true, min: 0, max: mostLogprobs });
  fields.refuse("suffix", "text is continued here, not filled in");
  fields.only("best_of", [shared.n], "must equal n: all choices are returned");
  fields.done();
  checkContext(context.model, prompts, maxTokens);
  return { ...shared, prompts, echo, maxTokens, options: { ...shared.options, ...present({ logprobs }) } };
}

async function start(context: ServeContext, parsed: CompletionRequest, work: Work): Promise<Choice[]> {
  const { prompts, n, echo, maxTokens, options } = parsed;
  const choices: Choice[] = [];
  for (const prompt of prompts) {
    const before =
      echo && options.logprobs !== undefined
        ? await promptLogprobs(context, prompt, options.logprobs, work.signal)
        : [];
    for (let i = 0; i < n; i++) {
      const own = { ...optionsOfChoice(options, i, work), maxTokens };
      const generation = maxTokens > 0 ? context.model.generate(prompt.ids, own) : undefined;
      choices.push({ prompt, before, generation });
    }
  }
  return choices;
}

const promptTokens = ({ prompts }: CompletionRequest): number =>
  prompts.reduce((sum, { ids }) => sum + ids.length, 0);

const logprobsOf = (
  { tokenizer }: ServeContext,
  { options }: CompletionRequest,
  placed: readonly PlacedToken[],
) => (options.logprobs === undefined ? null : completionLogprobs(tokenizer, placed));

/** Tokens of a continuation that begins at `offset` in the text of its choice. */
function place(events: readonly TokenEvent[], offset: number): PlacedToken[] {
  let at = offset;
  return events.map(({ token, logprob, top, text }) => {
    const placed = { token, logprob: logprob ?? null, top, offset: at };
    at += text.length;
    return placed;
  });
}

async function* chunks(
  context: ServeContext,
  parsed: CompletionRequest,
  choices: readonly Choice[],
  head: object,
  work: Work,
): AsyncGenerator<object> {
  const withLogprobs = parsed.options.logprobs !== undefined;
  const chunk = (
    index: number,
    text: string,
    placed: readonly PlacedToken[],
    reason: string | null = null,
  ) => ({
    ...head,
    choices: [{ index, text, logprobs: logprobsOf(context, parsed, placed), finish_reason: reason }],
    ...(parsed.includeUsage ? { usage: null } : {}),
  });
  const offsets = choices.map(() => 0);
  if (parsed.echo)
    for (const [index, { prompt, before }] of choices.entries()) {
      yield chunk(index, prompt.text, before);
      offsets[index] = prompt.text.length;
    }
  const running = choices.flatMap(({ generation }) => generation ?? []);
  for await (const { index, item } of merge(running.map((g) => g.events()))) {
    if (item.text !== "" || withLogprobs) yield chunk(index, item.text, place([item], offsets[index]!));
    offsets[index]! += item.text.length;
  }
  let completion = 0;
  for (const [index, { generation }] of choices.entries()) {
    const result = generation === undefined ? undefined : complete(await generation.result(), work);
    yield chunk(index, "", [], result?.finishReason ?? "length");
    completion += result?.tokens.length ?? 0;
  }
  if (parsed.includeUsage) yield { ...head, choices: [], usage: usageOf(promptTokens(parsed), completion) };
}
