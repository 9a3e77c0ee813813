/**
 * POST /api/generate: a text in Ollama's dialect. As there, the prompt is one message through the chat template, if
 * the checkpoint has one and `raw` is not set; otherwise it is continued as it stands.
 */
import type { ChatMessage } from "../../tasks/types.ts";
import { type ServeContext, startWork } from "../context.ts";
import { invalid } from "../errors.ts";
import { Fields } from "../fields.ts";
import { present, tokenIds } from "../parameters.ts";
import { namingGrammar, planTalk } from "../talk.ts";
import { answer, type Place, ready } from "./answer.ts";
import { budget, parseShared } from "./options.ts";

const place: Place = ({ content, thinking }) => ({ response: content, ...present({ thinking }) });

export async function generate(context: ServeContext, request: Request, body: unknown): Promise<Response> {
  const { model } = context;
  const fields = new Fields(body);
  const shared = parseShared(fields, model);
  const prompt = fields.string("prompt") ?? "";
  const raw = fields.boolean("raw") ?? false;
  const system = fields.string("system");
  fields.only("suffix", [""], "text is continued here, not filled in");
  fields.only("images", [[]], "only text is served");
  fields.only("template", [""], "the template is the checkpoint's own; write the prompt out with raw: true");
  for (const field of ["width", "height", "steps"]) fields.refuse(field, "only text is served");
  const before = tokenIds(fields.take("context") ?? [], "context", model.vocabularySize);
  fields.done();
  if (prompt === "") return ready(context, place);
  const templated = model.chats && !raw;
  if (templated && before.length > 0)
    throw invalid("context", "is for models without a chat template; send earlier messages to /api/chat");
  if (system !== undefined && system !== "" && !templated)
    throw invalid(
      "system",
      raw ? "is not for raw prompts" : `"${model.name}" has no chat template to put it in`,
    );
  const messages: ChatMessage[] = [
    ...(system ? [{ role: "system", content: system }] : []),
    { role: "user", content: prompt },
  ];
  const { format, think } = shared;
  if (!templated && think) throw invalid("think", "needs the model's chat template");
  const plan = templated ? await planTalk(context, { messages, format, think }) : undefined;
  const addSpecial = before.length === 0;
  const ids = plan
    ? await plan.prompt()
    : [...before, ...(await model.encode(prompt, { addSpecial, most: model.contextLength }))];
  const options = budget(shared, ids.length, model);
  return await namingGrammar("format", () => {
    const work = startWork(context, request);
    const own = { ...options, ...work.options };
    if (plan) {
      const generation = model.chat(plan.asked(), { ...own, ...plan.options });
      return answer(context, shared, generation, work, plan, place);
    }
    const generation = model.generate(ids, { ...own, ...present({ grammar: format?.grammar }) });
    return answer(context, shared, generation, work, { form: {} }, place, ({ tokens }) => ({
      context: [...ids, ...tokens],
    }));
  });
}
