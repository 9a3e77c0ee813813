/**
 * What can be done with a text: the reader edits it, the model goes on with it, and both can be taken back. Nothing of
 * it while the model writes, even for a view that was drawn before.
 */
import { type Question, tokensOf } from "../api/stream.ts";
import { fieldsOf } from "../settings/settings.ts";
import type { Chats } from "./chats.ts";
import { run } from "./run.ts";
import { beforeLast, edited, wholeText } from "./text.ts";
import type { Conversation, Segment, Text } from "./types.ts";
import { back, forth, noSteps, type Steps, step } from "./undo.ts";

type Segments = readonly Segment[];

export class Writing {
  readonly #chats: Chats;
  readonly #probabilities: () => boolean;
  /** Of each text that was worked on since the page was opened. */
  readonly #steps = new Map<string, Steps<Segments>>();

  constructor(chats: Chats, probabilities: () => boolean) {
    this.#chats = chats;
    this.#probabilities = probabilities;
  }

  /** The reader's text as it now stands. */
  edit(text: string): void {
    if (!this.#chats.busy()) this.#change((segments) => edited(segments, text), Date.now());
  }

  continue(): void {
    const { current } = this.#chats.state;
    if (current.body.kind !== "text" || this.#chats.busy()) return;
    if (wholeText(current.body.segments).trim() !== "") this.#goOn(current.body.segments);
  }

  /** Another continuation in place of the last one. */
  again(): void {
    const { current } = this.#chats.state;
    const before = current.body.kind === "text" ? beforeLast(current.body.segments) : undefined;
    if (before && !this.#chats.busy()) this.#goOn(before);
  }

  undo(): void {
    this.#move(back);
  }

  redo(): void {
    this.#move(forth);
  }

  /** Whether there is a step back, and one forth. */
  get steps(): { readonly back: boolean; readonly forth: boolean } {
    const { past, future } = this.#of(this.#chats.state.current.id);
    return { back: past.length > 0, forth: future.length > 0 };
  }

  #of(id: string): Steps<Segments> {
    return this.#steps.get(id) ?? noSteps;
  }

  #change(update: (segments: Segments) => Segments, editedAt?: number): void {
    const { id, body } = this.#chats.state.current;
    if (body.kind !== "text") return;
    this.#steps.set(id, step(this.#of(id), body.segments, editedAt));
    this.#write(id, update);
  }

  #move(which: typeof back): void {
    const { id, body } = this.#chats.state.current;
    const moved =
      body.kind === "text" && !this.#chats.busy() ? which(this.#of(id), body.segments) : undefined;
    if (moved === undefined) return;
    this.#steps.set(id, moved[0]);
    this.#write(id, () => moved[1]);
  }

  #write(id: string, update: (segments: Segments) => Segments): void {
    this.#chats.update(id, (conversation) => {
      if (conversation.body.kind !== "text") return conversation;
      const { failure: _, ...body } = conversation.body;
      return { ...conversation, body: { ...body, segments: update(body.segments) } };
    });
  }

  #goOn(from: Segments): void {
    const conversation = this.#chats.state.current;
    const { id } = conversation;
    this.#change(() => [...from, { from: "model", text: "", finish: "running" }]);
    const { models = [] } = this.#chats.state;
    const model = models.length > 1 ? this.#chats.model(conversation)?.id : undefined;
    const fields: Record<string, unknown> = {};
    void this.#chats.run(id, async (signal) => {
      await run(
        {
          question: (abort) => this.#question(conversation, wholeText(from), model, fields, abort),
          asking: { fields, model, probabilities: this.#probabilities() },
          change: (update) =>
            this.#write(id, (segments) =>
              segments.map((s, i) => (i === segments.length - 1 ? update(s) : s)),
            ),
        },
        signal,
      );
      this.#chats.update(id, withoutEmptyEnd);
    });
  }

  /** All of the text while that leaves room in the context, or else as much of its end as does. */
  async #question(
    conversation: Conversation,
    text: string,
    model: string | undefined,
    fields: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<Question> {
    const context = this.#chats.model(conversation)?.contextLength ?? Number.POSITIVE_INFINITY;
    const prompt = await tokensOf({ prompt: text }, model, signal);
    Object.assign(fields, fieldsOf(conversation.settings, "text"));
    const wanted = Number(fields.max_tokens);
    // However long it may become, a continuation costs the text no more than a quarter of the context.
    const fits = context - Math.min(wanted, Math.ceil(context / 4));
    fields.max_tokens = Math.min(wanted, context - Math.min(prompt.length, fits));
    if (prompt.length <= fits) return { kind: "text", prompt };
    const plain = await tokensOf({ prompt: text, add_special_tokens: false }, model, signal);
    const marks = prompt.slice(0, prompt.length - plain.length);
    return { kind: "text", prompt: [...marks, ...plain.slice(marks.length - fits)] };
  }
}

/** A continuation that brought nothing leaves no trace but its failure. */
function withoutEmptyEnd(conversation: Conversation): Conversation {
  const { body } = conversation;
  if (body.kind !== "text") return conversation;
  const last = body.segments.at(-1);
  if (last?.from !== "model" || last.text !== "") return conversation;
  const { failure: _, ...rest } = body;
  const next: Text = {
    ...rest,
    segments: body.segments.slice(0, -1),
    ...(last.failure ? { failure: last.failure } : {}),
  };
  return { ...conversation, body: next };
}
