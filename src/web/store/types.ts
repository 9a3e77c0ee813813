/** What is kept of a conversation. Plain data: it is stored, exported and imported as it stands. */
import type { Token } from "../api/events.ts";
import type { Failure } from "../api/failure.ts";
import type { Settings } from "../settings/settings.ts";

/** How an answer went. */
export interface Stats {
  readonly promptTokens?: number;
  readonly tokens: number;
  readonly firstMs: number;
  /** From the first token to the last. */
  readonly ms: number;
}

/** What an answer is made of, whether it is a message or a part of a text. */
export interface Answer {
  readonly text: string;
  /** What the model thought before it. */
  readonly reasoning?: string;
  /** Their texts together are the end of `text`; absent when no probabilities were asked for. */
  readonly tokens?: readonly Token[];
  /** `running` while it comes; then what the server said, or `stopped`, `interrupted`, `failed`. */
  readonly finish?: string;
  readonly failure?: Failure;
  readonly stats?: Stats;
}

export interface Message extends Answer {
  readonly id: string;
  readonly parent: string | null;
  readonly role: "user" | "assistant";
}

/** A tree of messages: an edit or a new try is a branch beside the old one. */
export interface Talk {
  readonly kind: "chat";
  readonly messages: Readonly<Record<string, Message>>;
  /** The last message of the branch that is shown. */
  readonly leaf: string | null;
}

export interface Segment extends Answer {
  readonly from: "user" | "model";
}

/** One text, in order, with who wrote what. */
export interface Text {
  readonly kind: "text";
  readonly segments: readonly Segment[];
  /** Why the last try to go on gave nothing. */
  readonly failure?: Failure;
}

export interface Conversation {
  readonly id: string;
  /** What the reader called it; otherwise its beginning is its title. */
  readonly name?: string;
  readonly created: number;
  readonly updated: number;
  readonly model?: string;
  readonly settings: Settings;
  readonly body: Talk | Text;
}

/** A conversation in the list. */
export interface Head {
  readonly id: string;
  readonly title: string;
  readonly kind: "chat" | "text";
  readonly updated: number;
}

const longestTitle = 60;

export function titleOf({ name, body }: Conversation): string {
  if (name) return name;
  const text =
    body.kind === "text"
      ? body.segments.map((segment) => segment.text).join("")
      : (Object.values(body.messages).find((message) => message.parent === null)?.text ?? "");
  const line = text.trim().split("\n", 1)[0]!.trim();
  if (line === "") return body.kind === "text" ? "New text" : "New chat";
  return line.length <= longestTitle ? line : `${line.slice(0, longestTitle).replace(/\s+\S*$/, "")} …`;
}

export const headOf = (conversation: Conversation): Head => ({
  id: conversation.id,
  title: titleOf(conversation),
  kind: conversation.body.kind,
  updated: conversation.updated,
});

export const isEmpty = ({ body }: Conversation): boolean =>
  body.kind === "chat" ? body.leaf === null : body.segments.length === 0;

/** Short, and unlike any other of this browser; `crypto.randomUUID` is missing on pages served over plain HTTP. */
export const newId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) => b.toString(36).padStart(2, "0")).join("");
