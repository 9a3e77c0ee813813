/** The prompts of a load test, from a file. Knows the forms that prompt sets are published in; must not send any. */
import { FoveaError } from "../../base/errors.ts";

export interface PromptMessage {
  readonly role: string;
  readonly content: string;
}

/** What one request asks: a text, or a talk. */
export type Prompt = string | readonly PromptMessage[];

/**
 * A `.jsonl` file has an object in each line, with `prompt` (a text), `messages` (a talk), or `turns` (texts, of which
 * the first is taken); any other file has a prompt in each line that is not empty.
 */
export function readPrompts(path: string, text: string): Prompt[] {
  const lines = text.split(/\r?\n/);
  const prompts = lines.flatMap((line, i) =>
    line.trim() === "" ? [] : [path.endsWith(".jsonl") ? fromJson(`${path}, line ${i + 1}`, line) : line],
  );
  if (prompts.length === 0) throw new FoveaError(`${path} holds no prompt`);
  return prompts;
}

function fromJson(place: string, line: string): Prompt {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new FoveaError(`${place} is not valid JSON: ${(error as Error).message}`);
  }
  const { prompt, messages, turns } = (value ?? {}) as Record<string, unknown>;
  if (typeof prompt === "string") return prompt;
  if (Array.isArray(messages) && messages.length > 0 && messages.every(isMessage)) return messages;
  if (Array.isArray(turns) && typeof turns[0] === "string") return turns[0];
  throw new FoveaError(
    `${place} has neither "prompt" (a text), nor "messages" (objects with role and content), nor "turns" (texts)`,
  );
}

const isMessage = (value: unknown): value is PromptMessage =>
  typeof (value as PromptMessage | null)?.role === "string" &&
  typeof (value as PromptMessage).content === "string";
