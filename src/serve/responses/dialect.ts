/** How OpenAI's responses are streamed: server-sent events that have a type and a number. */
import { type Dialect, eventStreamType, openai, typedEvent } from "../dialect.ts";

/** Of one stream. A refusal before it has the form of OpenAI's other endpoints. */
export function responsesDialect(): Dialect {
  let number = 0;
  return {
    contentType: eventStreamType,
    write: (object) => typedEvent({ ...object, sequence_number: number++ }),
    end: "",
    error: ({ message, param, code }) => ({ type: "error", code, message, param }),
    fields: { ...openai.fields, messages: "input", prompt: "input", maxTokens: "max_output_tokens" },
  };
}
