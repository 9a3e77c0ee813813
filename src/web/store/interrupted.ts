/** A conversation as it is found when its page went in the middle of an answer. Pure. */
import { ended } from "./answer.ts";
import type { Answer, Conversation } from "./types.ts";

/** Answers that were still coming when their page went. */
export function interrupted(conversation: Conversation): Conversation {
  const end = <A extends Answer>(answer: A): A =>
    answer.finish === "running" ? ended(answer, "interrupted") : answer;
  const { body } = conversation;
  if (body.kind === "text") return { ...conversation, body: { ...body, segments: body.segments.map(end) } };
  const messages = Object.fromEntries(
    Object.entries(body.messages).map(([id, message]) => [id, end(message)]),
  );
  return { ...conversation, body: { ...body, messages } };
}
