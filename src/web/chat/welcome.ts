/** What the page says before anything is written: what this model does, and texts to begin with that suit it. */
import type { ModelFacts } from "../api/models.ts";

export interface Welcome {
  readonly title: string;
  readonly about: string;
  readonly beginnings: readonly [string, ...string[]];
}

const chat: Welcome = {
  title: "Ask something.",
  about: "You talk with a language model.",
  beginnings: ["What is attention in a transformer?", "Write a haiku about the sea.", "Why is the sky blue?"],
};
const text: Welcome = {
  title: "Begin a text.",
  about: "This model does not chat: it goes on where your text ends.",
  beginnings: [
    "The old house stood at the end of the lane, and",
    "It was a bright, cold morning when the captain",
    "The three of them had hardly left the station when",
  ],
};
/** The models that Fovea serves when none is named; see cli/default-model.ts. */
const known: Readonly<Record<string, Welcome>> = {
  default: {
    ...text,
    title: "Begin a page.",
    about:
      "This small model continues prose: it goes on where your text ends, in the manner of the old books that it " +
      "learned from. It does not chat, and it knows no facts.",
  },
  stories260K: {
    title: "Begin a story.",
    about: "This tiny model tells stories for small children: it goes on where your text ends.",
    beginnings: [
      "Once upon a time, there was a little fox who",
      "Tom found a small key in the garden.",
      "One rainy day, Lily and her grandma",
    ],
  },
};

export const welcomeOf = ({ id, chat: chats }: Pick<ModelFacts, "id" | "chat">): Welcome =>
  chats ? chat : Object.hasOwn(known, id) ? known[id]! : text;
