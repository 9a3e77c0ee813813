/** A talk as a tree: what is shown, what lies beside it, and every change to it. Pure. */
import { type Message, newId, type Talk } from "./types.ts";

export const emptyTalk: Talk = { kind: "chat", messages: {}, leaf: null };

/** The messages of the branch that is shown, first to last. */
export function pathOf({ messages, leaf }: Talk): readonly Message[] {
  const path: Message[] = [];
  for (let id = leaf; id !== null; ) {
    const message = messages[id];
    if (message === undefined) break;
    path.unshift(message);
    id = message.parent;
  }
  return path;
}

/** All tries at the place of a message, oldest first: an object keeps the order in which its keys came. */
export const siblingsOf = ({ messages }: Talk, { parent }: Message): readonly Message[] =>
  Object.values(messages).filter((message) => message.parent === parent);

/** A new message behind `parent`; it is shown, and what stood there stays as another branch. */
export function add(
  talk: Talk,
  parent: string | null,
  message: Omit<Message, "id" | "parent">,
): readonly [Talk, string] {
  const id = newId();
  return [{ ...talk, messages: { ...talk.messages, [id]: { ...message, id, parent } }, leaf: id }, id];
}

export function change(talk: Talk, id: string, update: (message: Message) => Message): Talk {
  const message = talk.messages[id];
  return message === undefined ? talk : { ...talk, messages: { ...talk.messages, [id]: update(message) } };
}

/** Shows the branch of a message, to its newest end. */
export function show(talk: Talk, id: string): Talk {
  const messages = Object.values(talk.messages);
  let leaf = id;
  for (;;) {
    const next = messages.findLast((message) => message.parent === leaf);
    if (next === undefined) return { ...talk, leaf };
    leaf = next.id;
  }
}

/** Without a message and all that follows it; the try beside it, or what stands before, is shown. */
export function remove(talk: Talk, id: string): Talk {
  const gone = talk.messages[id];
  if (gone === undefined) return talk;
  const doomed = new Set([id]);
  // A message comes after its parent, so one pass finds all.
  for (const message of Object.values(talk.messages))
    if (message.parent !== null && doomed.has(message.parent)) doomed.add(message.id);
  const messages = Object.fromEntries(Object.entries(talk.messages).filter(([key]) => !doomed.has(key)));
  const rest: Talk = { ...talk, messages };
  if (talk.leaf === null || !doomed.has(talk.leaf)) return rest;
  const beside = siblingsOf(rest, gone).at(-1);
  return beside ? show(rest, beside.id) : { ...rest, leaf: gone.parent };
}
