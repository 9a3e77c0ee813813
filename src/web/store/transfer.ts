/** Conversations as a file, and back. A file comes from anywhere, so all of it is checked. Pure. */
import { numbers, type Settings } from "../settings/settings.ts";
import { type Conversation, type Message, newId, type Segment } from "./types.ts";

const format = "fovea-conversations";

export const exported = (conversations: readonly Conversation[]): string =>
  `${JSON.stringify({ format, version: 1, conversations }, null, 1)}\n`;

/** Throws an error that names what is wrong. Conversations get new ids, so that none is overwritten. */
export function imported(json: string): readonly Conversation[] {
  let file: unknown;
  try {
    file = JSON.parse(json);
  } catch (error) {
    throw new Error(`The file is no JSON: ${(error as Error).message}`);
  }
  const { format: given, version, conversations } = object(file, "the file");
  if (given !== format || version !== 1 || !Array.isArray(conversations))
    throw new Error(`The file holds no conversations of this page (format "${format}", version 1).`);
  return conversations.map((one: unknown, i) => conversationOf(one, `conversations[${i}]`));
}

function conversationOf(value: unknown, name: string): Conversation {
  const { name: called, created, updated, model, settings, body } = object(value, name);
  return {
    id: newId(),
    ...(typeof called === "string" ? { name: called } : {}),
    created: number(created, `${name}.created`),
    updated: number(updated, `${name}.updated`),
    ...(typeof model === "string" ? { model } : {}),
    settings: settingsOf(object(settings, `${name}.settings`), `${name}.settings`),
    body: bodyOf(object(body, `${name}.body`), `${name}.body`),
  };
}

function settingsOf(given: Readonly<Record<string, unknown>>, name: string): Settings {
  const settings: Record<string, unknown> = {};
  for (const key of [...numbers.map((control) => control.key), "seed", "maxTokens"])
    if (given[key] !== undefined) settings[key] = number(given[key], `${name}.${key}`);
  if (given.system !== undefined) settings.system = string(given.system, `${name}.system`);
  if (given.stop !== undefined)
    settings.stop = list(given.stop, `${name}.stop`).map((stop) => string(stop, `${name}.stop`));
  return settings;
}

function bodyOf(body: Readonly<Record<string, unknown>>, name: string): Conversation["body"] {
  if (body.kind === "text")
    return {
      kind: "text",
      segments: list(body.segments, `${name}.segments`).map((value, i) => {
        const segment = object(value, `${name}.segments[${i}]`);
        oneOf(segment.from, ["user", "model"], `${name}.segments[${i}].from`);
        return answerOf(segment, `${name}.segments[${i}]`) as unknown as Segment;
      }),
    };
  if (body.kind !== "chat") throw new Error(`${name}.kind must be "chat" or "text".`);
  const entries = Object.entries(object(body.messages, `${name}.messages`));
  const known = new Set<string>();
  const messages = entries.map(([id, value]): [string, Message] => {
    const place = `${name}.messages.${id}`;
    const message = object(value, place);
    oneOf(message.role, ["user", "assistant"], `${place}.role`);
    // Parents come first; so no circle can be.
    if (message.id !== id || (message.parent !== null && !known.has(message.parent as string)))
      throw new Error(`${place} does not hang together with the others.`);
    known.add(id);
    return [id, answerOf(message, place) as unknown as Message];
  });
  const { leaf } = body;
  if (leaf !== null && !known.has(leaf as string)) throw new Error(`${name}.leaf is no message.`);
  return { kind: "chat", messages: Object.fromEntries(messages), leaf: leaf as string | null };
}

function answerOf(
  answer: Readonly<Record<string, unknown>>,
  name: string,
): Readonly<Record<string, unknown>> {
  string(answer.text, `${name}.text`);
  for (const key of ["reasoning", "finish"])
    if (answer[key] !== undefined) string(answer[key], `${name}.${key}`);
  for (const [i, value] of list(answer.tokens ?? [], `${name}.tokens`).entries()) {
    const place = `${name}.tokens[${i}]`;
    const token = object(value, place);
    string(token.text, `${place}.text`);
    number(token.logprob, `${place}.logprob`);
    for (const pair of list(token.top, `${place}.top`)) {
      const [text, logprob] = list(pair, `${place}.top`);
      string(text, `${place}.top`);
      number(logprob, `${place}.top`);
    }
  }
  if (answer.failure !== undefined)
    string(object(answer.failure, `${name}.failure`).message, `${name}.failure.message`);
  if (answer.stats !== undefined)
    for (const key of ["tokens", "firstMs", "ms"])
      number(object(answer.stats, `${name}.stats`)[key], `${name}.stats.${key}`);
  return answer;
}

function object(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (value !== null && typeof value === "object" && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw new Error(`${name} must be an object.`);
}

function list(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${name} must be a list.`);
}

function string(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  throw new Error(`${name} must be a text.`);
}

function number(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new Error(`${name} must be a number.`);
}

function oneOf(value: unknown, allowed: readonly string[], name: string): void {
  if (!allowed.includes(value as string)) throw new Error(`${name} must be ${allowed.join(" or ")}.`);
}
