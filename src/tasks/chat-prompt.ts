/** The prompt of a chat: messages through the checkpoint's chat template. Knows no model. */
import { ParameterError } from "../base/errors.ts";
import type { Tokenizer } from "../checkpoint/tokenizer/index.ts";
import type { ChatMessage, ChatOptions } from "./types.ts";

export type ChatPromptOptions = {
  readonly [K in "tools" | "variables"]?: ChatOptions[K] | undefined;
};

/** @param name of the model, for errors */
export function chatPrompt(
  name: string,
  tokenizer: Tokenizer | undefined,
  messages: readonly ChatMessage[],
  { tools, variables }: ChatPromptOptions,
): readonly number[] {
  if (!tokenizer?.chatTemplate)
    throw new ParameterError("messages", `${name} has no chat template; use generate with a prompt`);
  const text = tokenizer.chatTemplate.render(messages, {
    addGenerationPrompt: true,
    ...(tools && { tools }),
    ...(variables && { variables }),
  });
  return tokenizer.encode(text, { addSpecial: false });
}
