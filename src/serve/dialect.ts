/** What sets the dialects of the server apart on the wire: how a stream and an error are written. */
import type { ApiError } from "./errors.ts";

export interface Dialect {
  readonly contentType: string;
  /** One object of a stream. */
  write(object: object): string;
  /** What follows the last object. */
  readonly end: string;
  /** An error, as the body of a response and as an object of a stream. */
  error(error: ApiError): object;
  /** The fields of requests that set the library's options, where their names differ in more than the spelling. */
  readonly fields: Readonly<Record<string, string>>;
}

export const eventStreamType = "text/event-stream; charset=utf-8";

/** Of a response that is written piece by piece: nobody on the way is to keep it, or to wait for more of it. */
export const streamHeaders = (contentType: string): Readonly<Record<string, string>> => ({
  "content-type": contentType,
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
});

/** Server-sent events whose type is that of the object. */
export const typedEvent = (object: object): string =>
  `event: ${(object as { type: string }).type}\ndata: ${JSON.stringify(object)}\n\n`;

/** Chat and text completions of OpenAI. */
export const openai: Dialect = {
  contentType: eventStreamType,
  write: (object) => `data: ${JSON.stringify(object)}\n\n`,
  end: "data: [DONE]\n\n",
  error: ({ status, message, param, code }) => ({
    error: { message, type: status < 500 ? "invalid_request_error" : "server_error", param, code },
  }),
  fields: { stopTokens: "stop_token_ids" },
};
