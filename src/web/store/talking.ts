/**
 * What can be done in a talk: each is a change of its tree, and mostly a question to the model. Nothing of it while the
 * model answers, even for a view that was drawn before.
 */
import { type Message as ApiMessage, unfinishedPrompt } from "../api/stream.ts";
import { fieldsOf } from "../settings/settings.ts";
import type { Chats } from "./chats.ts";
import { type Run, run } from "./run.ts";
import { add, change, pathOf, remove, show } from "./talk.ts";
import type { Conversation, Message, Talk } from "./types.ts";

const asked = (text: string) => ({ role: "user", text }) as const;
const unanswered = { role: "assistant", text: "", finish: "running" } as const;

export class Talking {
  readonly #chats: Chats;
  /** Whether to ask for the probabilities of tokens. */
  readonly #probabilities: () => boolean;

  constructor(chats: Chats, probabilities: () => boolean) {
    this.#chats = chats;
    this.#probabilities = probabilities;
  }

  send(text: string): void {
    const { id, body } = this.#chats.state.current;
    if (body.kind === "chat" && !this.#chats.busy()) this.#ask(id, body.leaf, text);
  }

  /** Another way of asking: a branch beside the old one, which is kept. */
  edit(message: Message, text: string): void {
    if (!this.#chats.busy()) this.#ask(this.#chats.state.current.id, message.parent, text);
  }

  #ask(id: string, parent: string | null, text: string): void {
    let own = "";
    this.#talk(id, (talk) => {
      const [next, added] = add(talk, parent, asked(text));
      own = added;
      return next;
    });
    this.#answer(id, own);
  }

  /** Another answer beside this one; one that failed before its first word is replaced. */
  regenerate(message: Message): void {
    if (this.#chats.busy()) return;
    const { id } = this.#chats.state.current;
    if (message.text === "" && !message.reasoning) this.#talk(id, (talk) => remove(talk, message.id));
    this.#answer(id, message.parent);
  }

  /** An answer to a message that has none. */
  answer(message: Message): void {
    if (!this.#chats.busy()) this.#answer(this.#chats.state.current.id, message.id);
  }

  #answer(id: string, parent: string | null): void {
    let own = "";
    this.#talk(id, (talk) => {
      const [next, added] = add(talk, parent, unanswered);
      own = added;
      return next;
    });
    this.#run(id, own, (conversation, talk) => ({
      question: async () => ({ kind: "chat", messages: messagesOf(conversation, { ...talk, leaf: parent }) }),
      fields: fieldsOf(conversation.settings, "chat"),
    }));
  }

  /**
   * Goes on where an answer stopped, as text: chats have no such request. Not behind thoughts, whose marks the page
   * does not know.
   */
  continue(message: Message): void {
    if (this.#chats.busy()) return;
    const { id } = this.#chats.state.current;
    this.#talk(id, (talk) =>
      change(talk, message.id, ({ failure: _, stats: __, tokens, ...rest }) => ({
        ...rest,
        finish: "running",
        // Tokens are the end of the text, so either all that follow have probabilities, or none.
        ...(tokens && this.#probabilities() ? { tokens } : {}),
      })),
    );
    this.#run(id, message.id, (conversation, talk) => {
      const fields = fieldsOf(conversation.settings, "text");
      const context = this.#chats.model(conversation)?.contextLength;
      const named = this.#name(conversation);
      return {
        fields,
        question: async (signal) => {
          const messages = messagesOf(conversation, { ...talk, leaf: message.parent });
          const prompt = await unfinishedPrompt(messages, message.text, named, signal);
          // Unless it was said how long, an answer may fill the context, as it may in a chat.
          if (conversation.settings.maxTokens === undefined && context !== undefined)
            fields.max_tokens = Math.max(1, context - prompt.length);
          return { kind: "text", prompt };
        },
      };
    });
  }

  showBranch(message: Message): void {
    if (!this.#chats.busy()) this.#talk(this.#chats.state.current.id, (talk) => show(talk, message.id));
  }

  remove(message: Message): void {
    if (!this.#chats.busy()) this.#talk(this.#chats.state.current.id, (talk) => remove(talk, message.id));
  }

  #talk(id: string, update: (talk: Talk) => Talk): void {
    this.#chats.update(id, (conversation) =>
      conversation.body.kind === "chat" ? { ...conversation, body: update(conversation.body) } : conversation,
    );
  }

  /** The model's name is said only where there are several. */
  #name(conversation: Conversation): string | undefined {
    const { models = [] } = this.#chats.state;
    return models.length > 1 ? this.#chats.model(conversation)?.id : undefined;
  }

  #run(
    id: string,
    own: string,
    prepare: (
      conversation: Conversation,
      talk: Talk,
    ) => { readonly question: Run["question"]; readonly fields: Record<string, unknown> },
  ): void {
    const conversation = this.#chats.conversation(id);
    if (conversation?.body.kind !== "chat") return;
    const { question, fields } = prepare(conversation, conversation.body);
    const asking = { fields, model: this.#name(conversation), probabilities: this.#probabilities() };
    void this.#chats.run(id, (signal) =>
      run(
        { question, asking, change: (update) => this.#talk(id, (talk) => change(talk, own, update)) },
        signal,
      ),
    );
  }
}

/** What the model is sent: without what failed. Whether it sees its earlier thoughts its template decides. */
function messagesOf({ settings }: Conversation, talk: Talk): readonly ApiMessage[] {
  const system = settings.system ? [{ role: "system", content: settings.system } as const] : [];
  const path = pathOf(talk)
    .filter(({ role, text }) => role === "user" || text !== "")
    .map(({ role, text, reasoning }) => ({
      ...{ role, content: text },
      ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    }));
  return [...system, ...path];
}
