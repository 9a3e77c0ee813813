/** The `input` of a response: a text or items, checked, as messages for the template and as items to be told again. */
import type { ChatMessage } from "../../tasks/types.ts";
import { newId } from "../context.ts";
import { invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";

export interface InputItem {
  readonly id: string;
  readonly type: "message";
  readonly status: "completed";
  readonly role: string;
  readonly content: readonly { readonly type: string; readonly text: string }[];
}

const roles = ["user", "assistant", "system", "developer"];

export function parseInput(value: unknown): InputItem[] {
  if (typeof value === "string") return [item("user", value)];
  if (!Array.isArray(value) || value.length === 0)
    throw invalid("input", "must be a text or a list with at least one item");
  return value.map((one: unknown, i) => parseItem(new Fields(one, `input[${i}]`)));
}

function parseItem(fields: Fields): InputItem {
  const type = fields.string("type") ?? "message";
  if (type !== "message")
    throw invalid(
      fields.name("type"),
      `only messages are served yet, not ${shown(type)}`,
      "unsupported_value",
    );
  const role = fields.string("role");
  if (role === undefined || !roles.includes(role))
    throw invalid(fields.name("role"), `must be ${roles.join(", ")}, not ${shown(role ?? null)}`);
  const content = text(fields);
  // What comes back of an answer that was received.
  fields.string("id");
  fields.string("status");
  fields.only("phase", [], "is not served");
  fields.done();
  return item(role, content);
}

function text(fields: Fields): string {
  const value = fields.take("content");
  if (typeof value === "string") return value;
  if (!Array.isArray(value))
    throw invalid(fields.name("content"), "must be a string or a list of text parts");
  return value
    .map((one: unknown, i) => {
      const part = new Fields(one, `${fields.name("content")}[${i}]`);
      const type = part.string("type");
      if (type !== "input_text" && type !== "output_text")
        throw invalid(
          part.name("type"),
          `only text is served, not ${shown(type ?? null)}`,
          "unsupported_value",
        );
      const content = part.string("text");
      if (content === undefined) throw invalid(part.name("text"), "must be a string");
      part.only("annotations", [[]], "an answer here is text");
      part.take("logprobs");
      part.done();
      return content;
    })
    .join("");
}

const item = (role: string, content: string): InputItem => ({
  id: newId("msg"),
  type: "message",
  status: "completed",
  role,
  content: [{ type: role === "assistant" ? "output_text" : "input_text", text: content }],
});

/** Templates know the older name of the developer. */
export const messageOf = ({ role, content }: InputItem): ChatMessage => ({
  role: role === "developer" ? "system" : role,
  content: content.map((part) => part.text).join(""),
});
