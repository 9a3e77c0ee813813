/**
 * All state of the chat: the list, the conversation that is shown, what runs. It lives beside the views, so that an
 * answer goes on while another view, or another conversation, is shown. Knows the shelf; the talking is in talking.ts
 * and writing.ts.
 */
import type { Failure } from "../api/failure.ts";
import { failureOf } from "../api/failure.ts";
import { setKey } from "../api/http.ts";
import { listModels, type ModelFacts } from "../api/models.ts";
import { type Settings, startOf, withSetting } from "../settings/settings.ts";
import { interrupted } from "./interrupted.ts";
import { type Notes, Saver } from "./saver.ts";
import { memoryShelf, type Shelf } from "./shelf.ts";
import { emptyTalk } from "./talk.ts";
import { emptyText } from "./text.ts";
import { exported, imported } from "./transfer.ts";
import { type Conversation, type Head, headOf, isEmpty, newId } from "./types.ts";

export interface State {
  /** Undefined until the server has said. */
  readonly models: readonly ModelFacts[] | undefined;
  /** Why there are none. */
  readonly failure: Failure | undefined;
  /** Newest first. */
  readonly heads: readonly Head[];
  readonly current: Conversation;
  /** Ids of the conversations that wait for an answer. */
  readonly running: ReadonlySet<string>;
  /** What the reader should know: storage that fails, a file that was not read. */
  readonly notice: string | undefined;
}

/** What the browser gives, for tests to give otherwise. */
export interface Surroundings {
  readonly shelf: () => Promise<Shelf>;
  readonly notes: Notes | undefined;
  readonly keys: Notes | undefined;
  /** Told when this page has saved something; calls back when another page has. */
  readonly others: { tell(): void; listen(changed: () => void): void };
}

const keyName = "fovea.key";

export class Chats {
  #state: State;
  #shelf: Shelf = memoryShelf();
  #saver: Saver;
  readonly #around: Surroundings;
  readonly #listeners = new Set<() => void>();
  /** What was last asked to be shown: reading it may take longer than reading the next one. */
  #wanted: string | undefined;
  /** Conversations that are shown or run. */
  readonly #open = new Map<string, Conversation>();
  readonly #runs = new Map<string, AbortController>();

  constructor(around: Surroundings) {
    this.#around = around;
    this.#saver = new Saver(this.#shelf, undefined, () => {});
    this.#state = {
      models: undefined,
      failure: undefined,
      heads: [],
      current: this.#blank("chat"),
      running: new Set(),
      notice: undefined,
    };
    this.#open.set(this.#state.current.id, this.#state.current);
  }

  get state(): State {
    return this.#state;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #set(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }

  /** Opens the shelf and asks for the models. `id`: the conversation to show, if it is still there. */
  async start(id: string | undefined): Promise<void> {
    const kept = this.#around.keys?.getItem(keyName);
    if (kept) setKey(kept);
    try {
      this.#shelf = await this.#around.shelf();
    } catch (error) {
      this.notify(
        `This browser keeps nothing for this page, so conversations end with it: ${(error as Error).message}`,
      );
    }
    this.#saver = new Saver(this.#shelf, this.#around.notes, (error) =>
      this.notify(`The conversation could not be saved: ${error.message}`),
    );
    await this.#saver.recover().catch((error: Error) => this.notify(error.message));
    this.#around.others.listen(() => void this.#refresh());
    await this.#refresh();
    if (id !== undefined) await this.select(id);
    await this.loadModels();
  }

  async loadModels(): Promise<void> {
    try {
      this.#set({ models: await listModels(), failure: undefined });
    } catch (error) {
      this.#set({ failure: failureOf(error) });
      return;
    }
    this.#suit();
  }

  /** A conversation that nobody has begun is of the kind that the model is for. */
  #suit(): void {
    const { current } = this.#state;
    const talks = this.model()?.chat ?? true;
    if (isEmpty(current) && talks !== (current.body.kind === "chat")) this.draft();
  }

  /** Takes a key for this session, and tries it. */
  async enterKey(key: string): Promise<void> {
    setKey(key);
    this.#around.keys?.setItem(keyName, key);
    await this.loadModels();
  }

  notify(notice: string | undefined): void {
    this.#set({ notice });
  }

  // The list

  async #refresh(): Promise<void> {
    await this.#saver.flush();
    const heads = new Map((await this.#shelf.heads()).map((head) => [head.id, head]));
    // What is open here may be newer than what is kept.
    for (const conversation of this.#open.values())
      if (!isEmpty(conversation) && conversation.updated > (heads.get(conversation.id)?.updated ?? 0))
        heads.set(conversation.id, headOf(conversation));
    this.#set({ heads: [...heads.values()].sort((a, b) => b.updated - a.updated) });
    // Another page may have gone on with what is shown here.
    const { current } = this.#state;
    if (this.#runs.has(current.id) || isEmpty(current)) return;
    const stored = await this.#shelf.load(current.id);
    if (stored && stored.updated > current.updated && this.#state.current === current) {
      this.#open.set(stored.id, stored);
      this.#set({ current: stored });
    }
  }

  #blank(kind: "chat" | "text"): Conversation {
    const now = Date.now();
    const body = kind === "chat" ? emptyTalk : emptyText;
    return { id: newId(), created: now, updated: now, settings: startOf(kind), body };
  }

  /** Shows a new conversation; it comes into the list with its first word. */
  draft(kind: "chat" | "text" = (this.model()?.chat ?? true) ? "chat" : "text"): void {
    const { model } = this.#state.current;
    this.#show({ ...this.#blank(kind), ...(model === undefined ? {} : { model }) });
  }

  #show(conversation: Conversation): void {
    const { current } = this.#state;
    this.#wanted = conversation.id;
    if (!this.#runs.has(current.id)) this.#open.delete(current.id);
    this.#open.set(conversation.id, conversation);
    this.#set({ current: conversation });
  }

  async select(id: string): Promise<void> {
    this.#wanted = id;
    if (id === this.#state.current.id) return;
    const found = await this.#find(id);
    if (found === undefined || this.#wanted !== id) return;
    // It may have grown since it was found.
    const conversation = this.#open.get(id) ?? found;
    this.#show(this.#runs.has(id) ? conversation : interrupted(conversation));
  }

  /** As it is now: what waits to be saved is saved before the shelf is asked. */
  async #find(id: string): Promise<Conversation | undefined> {
    if (!this.#open.has(id)) await this.#saver.flush();
    return this.#open.get(id) ?? this.#shelf.load(id);
  }

  async rename(id: string, name: string): Promise<void> {
    const found = await this.#find(id);
    // It may have been deleted since, or opened and gone on with.
    if (found === undefined || !this.#state.heads.some((head) => head.id === id)) return;
    const { name: _, ...rest } = this.#open.get(id) ?? found;
    this.#put(name.trim() === "" ? rest : { ...rest, name: name.trim() });
  }

  async remove(id: string): Promise<void> {
    this.stop(id);
    this.#open.delete(id);
    this.#saver.forget(id);
    this.#set({ heads: this.#state.heads.filter((head) => head.id !== id) });
    if (id === this.#state.current.id) this.draft();
    try {
      await this.#shelf.remove(id);
    } catch (error) {
      this.notify(`The conversation could not be deleted: ${(error as Error).message}`);
    }
    this.#around.others.tell();
  }

  /** All conversations as the text of a file. */
  async export(): Promise<string> {
    await this.#saver.flush();
    const found = await Promise.all(this.#state.heads.map(({ id }) => this.#shelf.load(id)));
    return exported(found.filter((conversation) => conversation !== undefined));
  }

  async import(json: string): Promise<void> {
    try {
      const conversations = imported(json);
      for (const conversation of conversations) await this.#shelf.save(conversation);
      await this.#refresh();
      if (conversations[0]) await this.select(conversations[0].id);
      this.#around.others.tell();
    } catch (error) {
      this.notify(`Nothing was imported. ${(error as Error).message}`);
    }
  }

  // The conversation

  /** The model that a conversation is held with: its own while it is served, or else the first. */
  model({ model }: Conversation = this.#state.current): ModelFacts | undefined {
    return this.#state.models?.find(({ id }) => id === model) ?? this.#state.models?.[0];
  }

  conversation(id: string): Conversation | undefined {
    return this.#open.get(id);
  }

  update(id: string, change: (conversation: Conversation) => Conversation): void {
    const conversation = this.#open.get(id);
    if (conversation) this.#put({ ...change(conversation), updated: Date.now() });
  }

  set(settings: Settings): void {
    this.update(this.#state.current.id, (conversation) => ({ ...conversation, settings }));
  }

  /** One setting, beside what the others are now: a view may have been drawn before another was set. */
  setOne<K extends keyof Settings>(key: K, value: Settings[K] | undefined): void {
    this.set(withSetting(this.#state.current.settings, key, value));
  }

  chooseModel(model: string): void {
    this.update(this.#state.current.id, (conversation) => ({ ...conversation, model }));
    this.#suit();
  }

  #put(conversation: Conversation): void {
    const { current, heads } = this.#state;
    if (this.#open.has(conversation.id)) this.#open.set(conversation.id, conversation);
    const listed = isEmpty(conversation)
      ? heads
      : [headOf(conversation), ...heads.filter(({ id }) => id !== conversation.id)].sort(
          (a, b) => b.updated - a.updated,
        );
    this.#set({
      heads: listed,
      ...(current.id === conversation.id ? { current: conversation } : {}),
    });
    if (!isEmpty(conversation)) this.#saver.save(conversation);
  }

  // What runs

  /** Whether the model writes in the conversation that is shown: then nothing else can be done in it. */
  busy(): boolean {
    return this.#runs.has(this.#state.current.id);
  }

  /** Keeps a conversation open while `work` runs, which `stop` aborts. */
  async run(id: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const controller = new AbortController();
    this.#runs.set(id, controller);
    this.#set({ running: new Set(this.#runs.keys()) });
    await work(controller.signal);
    // A conversation that was removed meanwhile may have been replaced by nothing.
    if (this.#runs.get(id) === controller) this.#runs.delete(id);
    this.#set({ running: new Set(this.#runs.keys()) });
    if (id !== this.#state.current.id) this.#open.delete(id);
    await this.#saver.flush();
    this.#around.others.tell();
  }

  stop(id: string = this.#state.current.id): void {
    this.#runs.get(id)?.abort();
  }

  /** The page goes. */
  leave(): void {
    this.#saver.leave();
  }
}
