/** POST /api/chat: a talk through the checkpoint's chat template, in Ollama's dialect. */
import { type ServeContext, startWork } from "../context.ts";
import { Fields } from "../fields.ts";
import { namingGrammar, needTemplate, planTalk } from "../talk.ts";
import { functionOf, toolList, toolRequest } from "../tools.ts";
import { answer, type Place, ready } from "./answer.ts";
import { parseMessages } from "./messages.ts";
import { budget, parseShared } from "./options.ts";

const place: Place = (part) => ({ message: { role: "assistant", ...part } });

export async function chat(context: ServeContext, request: Request, body: unknown): Promise<Response> {
  const { model } = context;
  const fields = new Fields(body);
  const shared = parseShared(fields, model);
  // Here the model decides in any case.
  const tools = toolRequest(toolList(fields, functionOf), "auto", true, "tools");
  const messages = parseMessages(fields.take("messages"));
  fields.done();
  if (messages.length === 0) return ready(context, place);
  needTemplate(model, "messages", "/api/generate");
  const plan = await planTalk(context, { messages, tools, format: shared.format, think: shared.think });
  const options = { ...budget(shared, (await plan.prompt()).length, model), ...plan.options };
  return await namingGrammar(plan.grammarField, () => {
    const work = startWork(context, request);
    const generation = model.chat(plan.asked(), { ...options, ...work.options });
    return answer(context, shared, generation, work, plan, place);
  });
}
