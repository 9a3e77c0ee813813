/** Chunks of a stream, of chat or of text completions, as the events that an answer is made of. Pure. */
import { described, type ErrorBody, RequestFailed } from "./failure.ts";

/** A token as the model chose it. */
export interface Token {
  /** Its part of the text; empty when its bytes are no whole characters yet, or belong to a stop text. */
  readonly text: string;
  /** What the server calls it, where that is not its text. */
  readonly name?: string;
  readonly logprob: number;
  /** The likeliest ones at this place, each with its log-probability, likeliest first. */
  readonly top: readonly (readonly [name: string, logprob: number])[];
}

export type AnswerEvent =
  | { readonly kind: "text"; readonly text: string; readonly tokens?: readonly Token[] }
  | { readonly kind: "reasoning"; readonly text: string }
  | { readonly kind: "finish"; readonly reason: string }
  | { readonly kind: "usage"; readonly promptTokens: number; readonly tokens: number };

interface ChatLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly top_logprobs?: readonly { readonly token: string; readonly logprob: number }[];
}

interface Delta {
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
}

export interface Chunk {
  readonly error?: ErrorBody;
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: Delta;
    readonly logprobs?: {
      readonly content?: readonly ChatLogprob[] | null;
      readonly tokens?: readonly string[];
      readonly token_logprobs?: readonly (number | null)[];
      readonly top_logprobs?: readonly (Readonly<Record<string, number>> | null)[];
    } | null;
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
}

type Choice = NonNullable<Chunk["choices"]>[number];
type Named = Omit<Token, "text"> & { readonly name: string };

export function* eventsOf({ error, choices, usage }: Chunk): Generator<AnswerEvent> {
  if (error) throw new RequestFailed(described(error, "The server failed without a word."));
  const choice = choices?.[0];
  if (choice) yield* eventsOfChoice(choice);
  if (usage) yield { kind: "usage", promptTokens: usage.prompt_tokens, tokens: usage.completion_tokens };
}

function* eventsOfChoice(choice: Choice): Generator<AnswerEvent> {
  const { delta, finish_reason } = choice;
  const reasoning = delta?.reasoning_content ?? "";
  const text = delta?.content ?? choice.text ?? "";
  const named = namedTokens(choice);
  // Of thoughts the tokens are not shown.
  if (reasoning !== "") yield { kind: "reasoning", text: reasoning };
  else if (named.length > 0) yield { kind: "text", text, tokens: placed(named, text) };
  else if (text !== "") yield { kind: "text", text };
  if (finish_reason) yield { kind: "finish", reason: finish_reason };
}

function namedTokens({ logprobs }: Choice): readonly Named[] {
  if (!logprobs) return [];
  const { content, tokens = [], token_logprobs = [], top_logprobs = [] } = logprobs;
  if (content)
    return content.map(({ token, logprob, top_logprobs: top = [] }) => ({
      name: token,
      logprob,
      top: top.map((one) => [one.token, one.logprob] as const),
    }));
  return tokens.map((name, i) => ({
    name,
    logprob: token_logprobs[i] ?? 0,
    top: Object.entries(top_logprobs[i] ?? {}).sort((a, b) => b[1] - a[1]),
  }));
}

/** Tokens with their parts of a text: each its own when they add up to it, or else all of it to the last. */
function placed(named: readonly Named[], text: string): readonly Token[] {
  const exact = named.map(({ name }) => name).join("") === text;
  return named.map(({ name, ...rest }, i) => {
    const own = exact ? name : i === named.length - 1 ? text : "";
    return own === name ? { text: own, ...rest } : { text: own, name, ...rest };
  });
}
