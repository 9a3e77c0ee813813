/** POST /tokenize and /detokenize: the model's own tokenizer. */
import type { ServeContext } from "./context.ts";
import { invalid } from "./errors.ts";
import { Fields } from "./fields.ts";
import { parseMessages } from "./messages.ts";
import { checkModel, tokenIds } from "./parameters.ts";
import { needTemplate } from "./talk.ts";

/** `prompt`, or `messages` through the chat template, as token ids. */
export async function tokenize({ model }: ServeContext, body: unknown): Promise<Response> {
  const fields = new Fields(body);
  checkModel(fields, model);
  const prompt = fields.string("prompt");
  const messages = fields.take("messages");
  const addSpecial = fields.boolean("add_special_tokens");
  fields.done();
  if ((prompt === undefined) === (messages === undefined))
    throw invalid("prompt", "give either prompt (a text) or messages");
  if (messages !== undefined) needTemplate(model, "messages", "prompt");
  if (messages !== undefined && addSpecial !== undefined)
    throw invalid("add_special_tokens", "is for prompt; a chat template sets its own");
  const tokens = await (prompt === undefined
    ? model.chatPrompt(parseMessages(messages))
    : model.encode(prompt, { addSpecial: addSpecial ?? true }));
  return Response.json({ count: tokens.length, max_model_len: model.contextLength, tokens });
}

/** The text of token ids, special ones included. */
export function detokenize({ model, tokenizer }: ServeContext, body: unknown): Response {
  const fields = new Fields(body);
  checkModel(fields, model);
  const value = fields.take("tokens");
  fields.done();
  if (value === undefined) throw invalid("tokens", "is needed: a list of token ids");
  const ids = tokenIds(value, "tokens", model.vocabularySize);
  return Response.json({ prompt: tokenizer.decode(ids, { skipSpecial: false }) });
}
