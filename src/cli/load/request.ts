/** One streamed request to an OpenAI-compatible server, and what it took. Knows the wire; must not know statistics. */
import { createParser } from "eventsource-parser";
import type { Arrival } from "./arrivals.ts";
import type { Prompt } from "./prompts.ts";

export interface Target {
  /** Ends in `/v1`, or in what stands for it. */
  readonly base: string;
  readonly endpoint: "chat" | "completions";
  readonly apiKey?: string | undefined;
  /** Fields of each body besides the prompt. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Milliseconds until a request is given up. */
  readonly timeout: number;
}

/** What became of a request. Times in milliseconds since it was due. */
export interface Outcome {
  readonly firstToken?: number;
  /** Between one piece of text and the next. */
  readonly gaps: readonly number[];
  readonly total: number;
  /** As the server counts them; where it does not, pieces of text. */
  readonly tokens: number;
  readonly promptTokens?: number | undefined;
  /** Why it failed; undefined when it was answered whole. */
  readonly error?: string | undefined;
}

interface Chunk {
  readonly error?: { readonly message?: string } | string;
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: Readonly<Record<string, unknown>>;
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number } | null;
}

/** Never throws: a failure is an outcome. */
export async function sendRequest(
  target: Target,
  prompt: Prompt,
  { due }: Arrival,
  signal: AbortSignal,
): Promise<Outcome> {
  const gaps: number[] = [];
  let firstToken: number | undefined;
  let last = 0;
  let finished = false;
  let usage: NonNullable<Chunk["usage"]> = {};
  const now = (): number => performance.now() - due;
  const outcome = (error?: string): Outcome => ({
    ...(firstToken === undefined ? {} : { firstToken }),
    gaps,
    total: now(),
    tokens: usage.completion_tokens ?? (firstToken === undefined ? 0 : gaps.length + 1),
    promptTokens: usage.prompt_tokens,
    error,
  });
  const take = (chunk: Chunk): void => {
    if (chunk.error !== undefined) throw new Failure(`in the stream: ${messageOf(chunk)}`);
    if (chunk.usage) usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (choice === undefined) return;
    if (hasText(choice)) {
      const time = now();
      if (firstToken === undefined) firstToken = time;
      else gaps.push(time - last);
      last = time;
    }
    if (choice.finish_reason) finished = true;
  };
  const ends = AbortSignal.any([signal, AbortSignal.timeout(target.timeout)]);
  try {
    const response = await fetch(`${target.base}/${target.endpoint === "chat" ? "chat/" : ""}completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(target.apiKey === undefined ? {} : { authorization: `Bearer ${target.apiKey}` }),
      },
      body: JSON.stringify({
        ...target.body,
        ...asked(target.endpoint, prompt),
        stream: true,
        stream_options: { include_usage: true },
      }),
      signal: ends,
    });
    if (!response.ok) throw new Failure(`${response.status}: ${await refusal(response)}`);
    const parser = createParser({
      onEvent: ({ data }) => {
        if (data !== "[DONE]") take(JSON.parse(data) as Chunk);
      },
    });
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) parser.feed(decoder.decode(bytes, { stream: true }));
    return finished ? outcome() : outcome("the stream ended before the answer was complete");
  } catch (error) {
    return outcome(reason(error, target.timeout));
  }
}

class Failure extends Error {}

function asked(endpoint: Target["endpoint"], prompt: Prompt): object {
  if (endpoint === "chat")
    return { messages: typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt };
  return { prompt: typeof prompt === "string" ? prompt : prompt.map(({ content }) => content).join("\n\n") };
}

/** Text that is being thought counts: it is written token by token like any other. */
const hasText = ({ text, delta }: NonNullable<Chunk["choices"]>[number]): boolean =>
  [text, delta?.content, delta?.reasoning_content, delta?.reasoning].some(
    (piece) => typeof piece === "string" && piece !== "",
  ) || delta?.tool_calls !== undefined;

const messageOf = ({ error }: Chunk): string =>
  typeof error === "string" ? error : (error?.message ?? JSON.stringify(error));

async function refusal(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return messageOf(JSON.parse(text) as Chunk);
  } catch {
    return text.slice(0, 200) || response.statusText;
  }
}

function reason(error: unknown, timeout: number): string {
  if (error instanceof Failure) return error.message;
  if (error instanceof SyntaxError) return `an event is not valid JSON: ${error.message}`;
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${timeout / 1000} s`;
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
}
