/** The prompt of a chat: messages through the checkpoint's chat template. Knows no model. */
import { ParameterError } from "../base/errors.ts";
import type { Tokenizer } from "../checkpoint/tokenizer/index.ts";
import { promptIds } from "./prompt-ids.ts";
import type { ChatMessage, ChatPromptOptions } from "./types.ts";

export function chatPrompt(
  { name, contextLength }: { readonly name: string; readonly contextLength: number },
  tokenizer: Tokenizer | undefined,
  messages: readonly ChatMessage[],
  { tools, variables }: ChatPromptOptions,
): readonly number[] {
  if (!Array.isArray(messages))
    throw new ParameterError("messages", 'must be a list, such as [{ role: "user", content: "Hello" }]');
  if (!tokenizer?.chatTemplate)
    throw new ParameterError("messages", `${name} has no chat template; use generate with a prompt`);
  const text = tokenizer.chatTemplate.render(messages, {
    addGenerationPrompt: true,
    ...(tools && { tools }),
    ...(variables && { variables }),
  });
  return promptIds(tokenizer, text, contextLength, { addSpecial: false });
}
