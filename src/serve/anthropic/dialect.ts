/** How Anthropic's API writes its streams and its errors. */
import { type Dialect, eventStreamType, typedEvent } from "../dialect.ts";

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

export const anthropic: Dialect = {
  contentType: eventStreamType,
  write: typedEvent,
  end: "",
  error: ({ status, message }) => ({
    type: "error",
    error: { type: types[status] ?? (status < 500 ? "invalid_request_error" : "api_error"), message },
  }),
  fields: { stop: "stop_sequences", prompt: "messages" },
};
