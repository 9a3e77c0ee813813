/**
 * Log-probabilities in the two dialects of the OpenAI API: that of chat (objects with bytes) and that of
 * text completions (parallel lists). Knows tokens and their bytes; must not know requests.
 */
import type { Tokenizer } from "../checkpoint/tokenizer/index.ts";
import type { TokenEvent, TokenLogprob } from "../tasks/types.ts";

/** Log-probabilities are finite on the wire: JSON has no infinity, and OpenAI uses this value for it. */
const least = -9999;
const finite = (logprob: number): number => Math.max(logprob, least);

const lenient = new TextDecoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a token; of a special one, those of its name. */
const bytesOf = (tokenizer: Tokenizer, id: number): Uint8Array =>
  tokenizer.isSpecial(id) ? new TextEncoder().encode(tokenizer.token(id) ?? "") : tokenizer.tokenBytes(id);

export interface ChatLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

const chatLogprob = (tokenizer: Tokenizer, { token, logprob }: TokenLogprob): ChatLogprob => {
  const bytes = bytesOf(tokenizer, token);
  return { token: lenient.decode(bytes), logprob: finite(logprob), bytes: [...bytes] };
};

/** `logprobs` of a chat choice or chunk, of events that have them. */
export const chatLogprobs = (tokenizer: Tokenizer, events: readonly TokenEvent[]) => ({
  content: events.map((event) => ({
    ...chatLogprob(tokenizer, { token: event.token, logprob: event.logprob! }),
    top_logprobs: (event.top ?? []).map((top) => chatLogprob(tokenizer, top)),
  })),
  refusal: null,
});

/** A token as text; one whose bytes are no whole characters as `bytes:\xe2\x82`, so that keys stay distinct. */
export function tokenText(tokenizer: Tokenizer, id: number): string {
  const bytes = bytesOf(tokenizer, id);
  try {
    return strict.decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((b) => `\\x${b.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

/** A token of the prompt or of the continuation; the first of a prompt has no log-probability. */
export interface PlacedToken {
  readonly token: number;
  readonly logprob: number | null;
  readonly top?: readonly TokenLogprob[] | undefined;
  /** Where its text begins in the text of the choice, in UTF-16 units. */
  readonly offset: number;
}

export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  readonly text_offset: number[];
}

/** `logprobs` of a text completion's choice or chunk. */
export const completionLogprobs = (
  tokenizer: Tokenizer,
  placed: readonly PlacedToken[],
): CompletionLogprobs => ({
  tokens: placed.map(({ token }) => tokenText(tokenizer, token)),
  token_logprobs: placed.map(({ logprob }) => (logprob === null ? null : finite(logprob))),
  top_logprobs: placed.map(({ top }) =>
    top === undefined
      ? null
      : Object.fromEntries(top.map(({ token, logprob }) => [tokenText(tokenizer, token), finite(logprob)])),
  ),
  text_offset: placed.map(({ offset }) => offset),
});
