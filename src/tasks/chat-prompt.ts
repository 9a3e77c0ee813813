/** The prompt of a chat: messages through the checkpoint's chat template. Knows no model. */
import { ParameterError } from "../base/errors.ts";
import type { EncodeOptions, Tokenizer } from "../checkpoint/tokenizer/index.ts";
import type { ChatMessage, ChatPromptOptions } from "./types.ts";

/** The template writes special tokens itself. */
export const chatEncoding: EncodeOptions = { addSpecial: false };

export function chatText(
  { name }: { readonly name: string },
  tokenizer: Tokenizer | undefined,
  messages: readonly ChatMessage[],
  { tools, variables }: ChatPromptOptions,
): string {
  if (!Array.isArray(messages))
    throw new ParameterError("messages", 'must be a list, such as [{ role: "user", content: "Hello" }]');
  if (!tokenizer?.chatTemplate)
    throw new ParameterError("messages", `${name} has no chat template; use generate with a prompt`);
  return tokenizer.chatTemplate.render(messages, {
    addGenerationPrompt: true,
    ...(tools && { tools }),
    ...(variables && { variables }),
  });
}
