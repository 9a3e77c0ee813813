/** The messages of Anthropic's dialect, checked, in the form that chat templates take. Must not know templates. */
import type { ChatMessage } from "../../tasks/types.ts";
import { invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";
import { present } from "../parameters.ts";
import { pastCall } from "../tools.ts";

export function parseMessages(fields: Fields): ChatMessage[] {
  const list = fields.take("messages");
  if (!Array.isArray(list) || list.length === 0)
    throw invalid("messages", "must be a list with at least one message");
  const system = text(fields, "system");
  const talk = list.flatMap((value: unknown, i): ChatMessage[] => {
    const message = new Fields(value, `messages[${i}]`);
    const role = message.string("role");
    if (role !== "user" && role !== "assistant")
      throw invalid(message.name("role"), `must be user or assistant, not ${shown(role ?? null)}`);
    const content = message.take("content");
    if (content === undefined) throw invalid(message.name("content"), "is needed");
    message.done();
    if (typeof content === "string") return [{ role, content }];
    const blocks = blocksOf(content, message.name("content"));
    return role === "user" ? ofUser(blocks) : [ofAssistant(blocks)];
  });
  if (talk.at(-1)!.role === "assistant")
    throw invalid(
      "messages",
      "must end with a message of the user: an answer cannot be begun for the model here",
    );
  return system === undefined ? talk : [{ role: "system", content: system }, ...talk];
}

const blocksOf = (value: unknown, name: string): Fields[] => {
  if (!Array.isArray(value)) throw invalid(name, "must be a string or a list of blocks");
  return value.map((item: unknown, i) => new Fields(item, `${name}[${i}]`));
};

/** Results of tools are messages of their own, and text between them another. */
function ofUser(blocks: readonly Fields[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const block of blocks) {
    const last = messages.at(-1);
    if (block.take("type") === "tool_result") messages.push(toolResult(block));
    else {
      const piece = textOf(block, ["text", "tool_result"]);
      if (last?.role === "user") messages[messages.length - 1] = { ...last, content: last.content + piece };
      else messages.push({ role: "user", content: piece });
    }
  }
  return messages.length > 0 ? messages : [{ role: "user", content: "" }];
}

function toolResult(block: Fields): ChatMessage {
  const id = block.string("tool_use_id");
  if (id === undefined) throw invalid(block.name("tool_use_id"), "is needed");
  const content = text(block, "content") ?? "";
  const failed = block.boolean("is_error") ?? false;
  cacheControl(block);
  block.done();
  // No template has a mark for failures: the model is told in words.
  return { role: "tool", tool_call_id: id, content: failed ? `Error: ${content}` : content };
}

function ofAssistant(blocks: readonly Fields[]): ChatMessage {
  let content = "";
  let reasoning = "";
  const calls: object[] = [];
  for (const block of blocks) {
    const type = block.take("type");
    if (type === "tool_use") calls.push(toolUse(block));
    else if (type === "thinking") {
      reasoning += block.string("thinking") ?? "";
      block.string("signature");
      block.done();
    } else content += textOf(block, ["text", "tool_use", "thinking"]);
  }
  return {
    role: "assistant",
    content,
    ...present({
      tool_calls: calls.length > 0 ? calls : undefined,
      reasoning_content: reasoning === "" ? undefined : reasoning,
    }),
  };
}

function toolUse(block: Fields): object {
  const id = block.string("id");
  const name = block.string("name");
  if (id === undefined || name === undefined) throw invalid(block.name("id"), "and name are needed");
  const input = block.take("input") ?? {};
  block.only("caller", [{ type: "direct" }], "only the model itself calls tools here");
  block.refuse("toolset_name", "there are no toolsets here");
  cacheControl(block);
  block.done();
  return pastCall(id, name, input);
}

/** A string, or text blocks joined. */
function text(fields: Fields, field: string): string | undefined {
  const value = fields.take(field);
  if (value === undefined || typeof value === "string") return value;
  return blocksOf(value, fields.name(field))
    .map((block) => textOf(block, ["text"]))
    .join("");
}

function textOf(block: Fields, served: readonly string[]): string {
  const type = block.string("type");
  if (type !== "text")
    throw invalid(
      block.name("type"),
      `only ${served.map((name) => `"${name}"`).join(", ")} ${served.length > 1 ? "are" : "is"} served here, not ${shown(type ?? null)}`,
    );
  const content = block.string("text");
  if (content === undefined) throw invalid(block.name("text"), "must be a string");
  cacheControl(block);
  block.only("citations", [[], { enabled: false }], "there are no citations here");
  block.done();
  return content;
}

/** What can be shared between requests is found without being marked: a mark changes nothing. */
export function cacheControl(fields: Fields): void {
  const mark = fields.object("cache_control");
  mark?.only("type", ["ephemeral"], "must be ephemeral");
  mark?.only("ttl", ["5m", "1h"], "must be 5m or 1h");
  mark?.done();
}
