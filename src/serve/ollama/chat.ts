/** POST /api/chat: a talk through the checkpoint's chat template, in Ollama's dialect. */
import type { ChatMessage } from "../../tasks/types.ts";
import { type ServeContext, startWork } from "../context.ts";
import { ApiError, invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";
import { answer, ready } from "./answer.ts";
import { budget, parseShared } from "./options.ts";

const place = (content: string): object => ({ message: { role: "assistant", content } });

export async function chat(context: ServeContext, request: Request, body: unknown): Promise<Response> {
  const { model } = context;
  const fields = new Fields(body);
  const shared = parseShared(fields, model);
  fields.only("tools", [[]], "tools are not served yet");
  const messages = parseMessages(fields.take("messages"));
  fields.done();
  if (messages.length === 0) return ready(context, place);
  if (!model.chats)
    throw new ApiError(400, `messages: "${model.name}" has no chat template; use /api/generate`, {
      param: "messages",
      code: "no_chat_template",
    });
  const options = budget(shared, model.chatPrompt(messages).length);
  const work = startWork(context, request);
  return answer(context, shared, model.chat(messages, { ...options, ...work.options }), work, place);
}

const roles = ["system", "user", "assistant"];

function parseMessages(value: unknown = []): ChatMessage[] {
  if (!Array.isArray(value)) throw invalid("messages", "must be a list");
  return value.map((item: unknown, i) => {
    const message = new Fields(item, `messages[${i}]`);
    const role = message.string("role");
    if (role === undefined || !roles.includes(role))
      throw invalid(
        message.name("role"),
        role === "tool"
          ? "tools are not served yet"
          : `must be ${roles.join(", ")}, not ${shown(role ?? null)}`,
      );
    const content = message.string("content");
    if (content === undefined) throw invalid(message.name("content"), "must be a string");
    message.only("images", [[]], "only text is served");
    message.only("tool_calls", [[]], "tools are not served yet");
    message.only("thinking", [""], "is not served");
    message.refuse("tool_name", "tools are not served yet");
    message.done();
    return { role, content };
  });
}
