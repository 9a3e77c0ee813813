/**
 * Items of a response's `input`, checked: messages, calls, their results and thoughts. Told again as they are, and as
 * messages for the template.
 */
import type { ChatMessage } from "../../tasks/types.ts";
import { newId } from "../context.ts";
import { invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";
import { present } from "../parameters.ts";
import { textOf } from "../text-parts.ts";
import { parsedArguments, pastCall } from "../tools.ts";

interface Common {
  readonly id: string;
  readonly status: string;
}
export interface MessageItem extends Common {
  readonly type: "message";
  readonly role: string;
  readonly content: readonly { readonly type: string; readonly text: string }[];
}
export interface CallItem extends Common {
  readonly type: "function_call";
  readonly call_id: string;
  readonly name: string;
  readonly arguments: string;
}
export interface ResultItem extends Common {
  readonly type: "function_call_output";
  readonly call_id: string;
  readonly output: string;
}
export interface ReasoningItem extends Common {
  readonly type: "reasoning";
  readonly summary: readonly [];
  readonly content: readonly { readonly type: "reasoning_text"; readonly text: string }[];
}
export type Item = MessageItem | CallItem | ResultItem | ReasoningItem;

const roles = ["user", "assistant", "system", "developer"];

export function parseInput(value: unknown): Item[] {
  if (typeof value === "string") return [message("user", value)];
  if (!Array.isArray(value) || value.length === 0)
    throw invalid("input", "must be a text or a list with at least one item");
  return value.map((one: unknown, i) => {
    const fields = new Fields(one, `input[${i}]`);
    const item = parseItem(fields);
    // What comes back of an answer that was received.
    fields.string("status");
    fields.done();
    return item;
  });
}

function parseItem(fields: Fields): Item {
  const type = fields.string("type") ?? "message";
  const id = fields.string("id");
  switch (type) {
    case "message":
      return { ...parseMessage(fields), ...present({ id }) };
    case "function_call": {
      fields.only("caller", [{ type: "direct" }], "only the model itself calls tools here");
      fields.refuse("namespace", "there are no namespaces here");
      const called = { call_id: needed(fields, "call_id"), name: needed(fields, "name") };
      const given = needed(fields, "arguments");
      return { id: id ?? newId("fc"), type, status: "completed", ...called, arguments: given };
    }
    case "function_call_output": {
      fields.only("caller", [{ type: "direct" }], "only the model itself calls tools here");
      const called = { call_id: needed(fields, "call_id"), output: text(fields, "output") };
      return { id: id ?? newId("fco"), type, status: "completed", ...called };
    }
    case "reasoning": {
      fields.only("summary", [[]], "thoughts are not summarized here");
      fields.refuse("encrypted_content", "thoughts are not encrypted here");
      const content = fields.take("content") === undefined ? "" : text(fields, "content");
      return {
        ...{ id: id ?? newId("rs"), type, status: "completed", summary: [] },
        content: content === "" ? [] : [{ type: "reasoning_text", text: content }],
      };
    }
    default:
      throw invalid(
        fields.name("type"),
        `only message, function_call, function_call_output and reasoning are served, not ${shown(type)}`,
        "unsupported_value",
      );
  }
}

function parseMessage(fields: Fields): MessageItem {
  const role = fields.string("role");
  if (role === undefined || !roles.includes(role))
    throw invalid(fields.name("role"), `must be one of ${roles.join(", ")}, not ${shown(role ?? null)}`);
  fields.only("phase", [], "is not served");
  return message(role, text(fields, "content"));
}

function needed(fields: Fields, field: string): string {
  const value = fields.string(field);
  if (value === undefined) throw invalid(fields.name(field), "is needed");
  return value;
}

const parts = ["input_text", "output_text", "reasoning_text"];

const text = (fields: Fields, field: string): string =>
  textOf(fields, field, parts, (part) => {
    part.only("annotations", [[]], "an answer here is text");
    part.take("logprobs");
    part.take("parsed"); // what a client's helper made of the text
  });

const message = (role: string, content: string): MessageItem => ({
  id: newId("msg"),
  type: "message",
  status: "completed",
  role,
  content: [{ type: role === "assistant" ? "output_text" : "input_text", text: content }],
});

/**
 * Items that follow messages, as messages: thoughts and calls belong to one message of the assistant. A result must be
 * that of a call.
 */
export function messagesOf(before: readonly ChatMessage[], items: readonly Item[]): ChatMessage[] {
  const messages = [...before];
  let thoughts = "";
  const assistant = (more: object, content = ""): void => {
    const reasoning_content = thoughts === "" ? undefined : thoughts;
    thoughts = "";
    messages.push({ role: "assistant", content, ...present({ reasoning_content }), ...more });
  };
  const callsOf = (one: ChatMessage | undefined) => (one?.tool_calls ?? []) as readonly { id?: string }[];
  for (const [i, item] of items.entries()) {
    if (item.type === "reasoning") thoughts += joined(item.content);
    else if (item.type === "message") {
      if (item.role === "assistant") assistant({}, joined(item.content));
      // Templates know the older name of the developer.
      else {
        const role = item.role === "developer" ? "system" : item.role;
        messages.push({ role, content: joined(item.content) });
      }
    } else if (item.type === "function_call") {
      const call = pastCall(item.call_id, item.name, parsedArguments(item.arguments));
      const last = messages.at(-1);
      if (thoughts === "" && messages.length > before.length && last?.role === "assistant")
        messages[messages.length - 1] = { ...last, tool_calls: [...callsOf(last), call] };
      else assistant({ tool_calls: [call] });
    } else {
      if (!messages.some((one) => callsOf(one).some(({ id }) => id === item.call_id)))
        throw invalid(`input[${i}].call_id`, `there was no call ${shown(item.call_id)}`);
      messages.push({ role: "tool", tool_call_id: item.call_id, content: item.output });
    }
  }
  return messages;
}

const joined = (content: readonly { readonly text: string }[]): string =>
  content.map((part) => part.text).join("");
