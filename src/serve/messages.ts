/**
 * The `messages` of a chat request, checked, in the form that chat templates take.
 * Knows the roles and content parts of the OpenAI API; must not know templates.
 */
import type { ChatMessage } from "../tasks/types.ts";
import { invalid } from "./errors.ts";
import { Fields, shown } from "./fields.ts";
import { present } from "./parameters.ts";
import { textOf } from "./text-parts.ts";
import { parsedArguments, pastCall, pastCalls } from "./tools.ts";

/** `developer` is the newer name of the system role; templates know the older one. */
const roles: Readonly<Record<string, string>> = {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
  tool: "tool",
};

export function parseMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0)
    throw invalid("messages", "must be a list with at least one message");
  return value.map((message: unknown, i) => parseMessage(new Fields(message, `messages[${i}]`)));
}

function parseMessage(fields: Fields): ChatMessage {
  const given = fields.string("role");
  const role = given !== undefined && Object.hasOwn(roles, given) ? roles[given] : undefined;
  if (role === undefined)
    throw invalid(
      fields.name("role"),
      given === "function"
        ? 'is of the older API; use "tool"'
        : `must be one of ${Object.keys(roles).join(", ")}, not ${shown(given ?? null)}`,
    );
  const calls =
    role === "assistant"
      ? pastCalls(fields, (made, name, id) =>
          pastCall(id, name, parsedArguments(made.string("arguments") ?? "{}")),
        )
      : undefined;
  const content =
    calls !== undefined && fields.take("content") === undefined ? "" : textOf(fields, "content", ["text"]);
  const answered = role === "tool" ? fields.string("tool_call_id") : undefined;
  if (role === "tool" && answered === undefined)
    throw invalid(fields.name("tool_call_id"), "must be a string");
  const name = fields.string("name");
  const reasoning = role === "assistant" ? reasoningText(fields) : undefined;
  // What a client sends back of an answer that it received.
  fields.refuse("refusal", "is not served; an answer here is text");
  fields.refuse("audio", "is not served; an answer here is text");
  fields.refuse("function_call", "is of the older API; use tool_calls");
  fields.only("annotations", [[]], "is not served; an answer here is text");
  fields.done();
  return {
    role,
    content,
    ...present({ name, tool_calls: calls, tool_call_id: answered, reasoning_content: reasoning }),
  };
}

/** What the model thought before, for templates that show it again; both names are in use. */
function reasoningText(fields: Fields): string | undefined {
  const text = fields.string("reasoning_content");
  return fields.string("reasoning") ?? text;
}
