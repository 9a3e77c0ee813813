/** The messages of Ollama's chat, checked, in the form that chat templates take. Must not know templates. */
import type { ChatMessage } from "../../tasks/types.ts";
import { invalid } from "../errors.ts";
import { Fields, shown } from "../fields.ts";
import { present } from "../parameters.ts";
import { pastCall, pastCalls } from "../tools.ts";

const roles = ["system", "user", "assistant", "tool"];

export function parseMessages(value: unknown = []): ChatMessage[] {
  if (!Array.isArray(value)) throw invalid("messages", "must be a list");
  const calls = new Calls();
  return value.map((item: unknown, i) => {
    const message = new Fields(item, `messages[${i}]`);
    const role = message.string("role");
    if (role === undefined || !roles.includes(role))
      throw invalid(message.name("role"), `must be one of ${roles.join(", ")}, not ${shown(role ?? null)}`);
    const made = role === "assistant" ? toolCalls(message, calls) : undefined;
    const content = message.string("content") ?? (made ? "" : undefined);
    if (content === undefined) throw invalid(message.name("content"), "must be a string");
    const thinking = role === "assistant" ? message.string("thinking") : undefined;
    const result = role === "tool" ? toolResult(message, calls) : {};
    message.only("images", [[]], "only text is served");
    if (role !== "assistant") {
      message.only("tool_calls", [[]], "are of the assistant's messages");
      message.only("thinking", [""], "is of the assistant's messages");
    }
    message.done();
    return { role, content, ...present({ tool_calls: made, reasoning_content: thinking }), ...result };
  });
}

/** Calls of this dialect need have no ids, which templates may want: results are matched by name and order. */
class Calls {
  readonly #open: { readonly id: string; readonly name: string }[] = [];
  #count = 0;

  add(name: string, given: string | undefined): string {
    const id = given ?? `call${String(this.#count++).padStart(5, "0")}`;
    this.#open.push({ id, name });
    return id;
  }

  take(name: string | undefined): string | undefined {
    const at = name === undefined ? 0 : this.#open.findIndex((call) => call.name === name);
    return at < 0 ? undefined : this.#open.splice(at, 1)[0]?.id;
  }
}

const toolCalls = (message: Fields, calls: Calls): object[] | undefined =>
  pastCalls(message, (made, name, id) => {
    made.number("index", { integer: true });
    return pastCall(calls.add(name, id), name, made.take("arguments") ?? {});
  });

function toolResult(message: Fields, calls: Calls): object {
  const name = message.string("tool_name") ?? message.string("name");
  const id = message.string("tool_call_id") ?? calls.take(name);
  return present({ name, tool_call_id: id });
}
