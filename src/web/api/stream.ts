/** An answer as it comes: one request, and its stream of server-sent events read to the end. */
import { createParser } from "eventsource-parser";
import { type AnswerEvent, type Chunk, eventsOf } from "./events.ts";
import { RequestFailed } from "./failure.ts";
import { post } from "./http.ts";

/** How many alternatives a token is asked for with. */
const alternatives = 5;

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
  readonly reasoning_content?: string;
}

/** What to ask for, besides the sampling fields. */
export type Question =
  | { readonly kind: "chat"; readonly messages: readonly Message[] }
  | { readonly kind: "text"; readonly prompt: string | readonly number[] | readonly string[] };

export interface Asking {
  /** Sampling and limits, by the names of the API. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly model?: string | undefined;
  readonly probabilities: boolean;
}

const paths = { chat: "/v1/chat/completions", text: "/v1/completions" } as const;

export async function* ask(
  question: Question,
  asking: Asking,
  signal: AbortSignal,
): AsyncGenerator<AnswerEvent> {
  const { kind, ...content } = question;
  const response = await post(
    paths[kind],
    {
      ...(asking.model === undefined ? {} : { model: asking.model }),
      ...content,
      ...asking.fields,
      ...(asking.probabilities ? probabilityFields(kind) : {}),
      stream: true,
      stream_options: { include_usage: true },
    },
    signal,
  );
  for await (const data of serverSentEvents(response.body!)) {
    if (data === "[DONE]") return;
    yield* eventsOf(JSON.parse(data) as Chunk);
  }
}

const probabilityFields = (kind: Question["kind"]) =>
  kind === "chat" ? { logprobs: true, top_logprobs: alternatives } : { logprobs: alternatives };

/** Token ids, by the model's own tokenizer, of a text or of messages as the template writes them. */
export async function tokensOf(
  body: object,
  model: string | undefined,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const response = await post("/tokenize", { ...(model === undefined ? {} : { model }), ...body }, signal);
  return ((await response.json()) as { tokens: readonly number[] }).tokens;
}

/** The prompt that goes on inside the model's own answer: the messages, and the answer so far. */
export const unfinishedPrompt = async (
  messages: readonly Message[],
  answer: string,
  model: string | undefined,
  signal: AbortSignal,
): Promise<readonly number[]> => [
  ...(await tokensOf({ messages }, model, signal)),
  ...(await tokensOf({ prompt: answer, add_special_tokens: false }, model, signal)),
];

/** The data of each event. An end that the server did not announce is a failure. */
export async function* serverSentEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  const come: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => come.push(data) });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new RequestFailed({ message: "The connection ended before the answer was complete." });
      parser.feed(value);
      yield* come.splice(0);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
