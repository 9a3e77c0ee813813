/** How Ollama's API writes its streams and its errors: a JSON object in each line. */
import type { Dialect } from "../dialect.ts";

export const ollama: Dialect = {
  contentType: "application/x-ndjson",
  write: (object) => `${JSON.stringify(object)}\n`,
  end: "",
  error: ({ message }) => ({ error: message }),
  fields: { maxTokens: "options.num_predict", repetitionPenalty: "options.repeat_penalty" },
};
