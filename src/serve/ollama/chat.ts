/** POST /api/chat: a talk through the checkpoint's chat template, in Ollama's dialect. */
import { type ServeContext, startWork } from "../context.ts";
import { ApiError, invalid } from "../errors.ts";
import { Fields } from "../fields.ts";
import { namingGrammar, planTalk } from "../talk.ts";
import { functionOf, type ToolRequest, toolRequest } from "../tools.ts";
import { answer, type Place, ready } from "./answer.ts";
import { parseMessages } from "./messages.ts";
import { budget, parseShared } from "./options.ts";

const place: Place = (part) => ({ message: { role: "assistant", ...part } });

export async function chat(context: ServeContext, request: Request, body: unknown): Promise<Response> {
  const { model } = context;
  const fields = new Fields(body);
  const shared = parseShared(fields, model);
  const tools = readTools(fields);
  const messages = parseMessages(fields.take("messages"));
  fields.done();
  if (messages.length === 0) return ready(context, place);
  if (!model.chats)
    throw new ApiError(400, `messages: "${model.name}" has no chat template; use /api/generate`, {
      param: "messages",
      code: "no_chat_template",
    });
  const plan = planTalk(context, { messages, tools, format: shared.format, think: shared.think });
  const options = { ...budget(shared, plan.prompt().length), ...plan.options };
  return await namingGrammar(
    () => plan.grammarField,
    () => {
      const work = startWork(context, request);
      const generation = model.chat(plan.messages, { ...options, ...work.options });
      return answer(context, shared, generation, work, plan, place);
    },
  );
}

/** Here the model decides in any case. */
function readTools(fields: Fields): ToolRequest | undefined {
  const list = fields.take("tools");
  if (list === undefined || (Array.isArray(list) && list.length === 0)) return undefined;
  if (!Array.isArray(list)) throw invalid("tools", "must be a list");
  return toolRequest(list.map(functionOf), "auto", true, "tools");
}
