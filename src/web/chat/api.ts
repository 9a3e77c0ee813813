/** The server's API as the page needs it: what model there is, and text as a stream. */

export interface ModelFacts {
  readonly id: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly weights_bytes: number;
  readonly context_length: number;
  /** Whether it has a chat template. */
  readonly chat: boolean;
  readonly device: string;
}

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface Settings {
  readonly temperature: number;
  readonly maxTokens: number;
}

/** A piece of the answer, or how it ended. */
export type AnswerEvent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "finish"; readonly reason: string }
  | { readonly kind: "usage"; readonly promptTokens: number; readonly tokens: number };

interface Chunk {
  readonly error?: { readonly message: string };
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
}

export async function firstModel(): Promise<ModelFacts> {
  const response = await fetch("/v1/models");
  const { data } = (await checked(response).then((r) => r.json())) as { data: ModelFacts[] };
  const [model] = data;
  if (model === undefined) throw new Error("The server serves no model.");
  return model;
}

export const chat = (messages: readonly Message[], settings: Settings, signal: AbortSignal) =>
  stream("/v1/chat/completions", { messages, max_completion_tokens: settings.maxTokens }, settings, signal);

export const complete = (prompt: string, settings: Settings, signal: AbortSignal) =>
  stream("/v1/completions", { prompt, max_tokens: settings.maxTokens }, settings, signal);

async function* stream(
  path: string,
  body: object,
  { temperature }: Settings,
  signal: AbortSignal,
): AsyncGenerator<AnswerEvent> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, temperature, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  for await (const data of serverSentEvents((await checked(response)).body!)) {
    if (data === "[DONE]") return;
    yield* eventsOf(JSON.parse(data) as Chunk);
  }
}

function* eventsOf({ error, choices, usage }: Chunk): Generator<AnswerEvent> {
  if (error) throw new Error(error.message);
  const choice = choices?.[0];
  const text = choice?.delta?.content ?? choice?.text ?? "";
  if (text !== "") yield { kind: "text", text };
  if (choice?.finish_reason) yield { kind: "finish", reason: choice.finish_reason };
  if (usage) yield { kind: "usage", promptTokens: usage.prompt_tokens, tokens: usage.completion_tokens };
}

/** The `data` of each event; one line each, as this server writes them. */
async function* serverSentEvents(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The connection ended before the answer was complete.");
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6);
  }
}

/** Turns an error response into an error with the server's own words. */
async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const body = (await response.json().catch(() => undefined)) as Chunk | undefined;
  throw new Error(body?.error?.message ?? `The server answered ${response.status}.`);
}
