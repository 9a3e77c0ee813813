/**
 * Saves conversations soon after they change, not at each change. What has not been saved when the page goes is left
 * where it can be left at once, and taken up by the next page. Knows when; the shelf knows where.
 */
import type { Shelf } from "./shelf.ts";
import type { Conversation } from "./types.ts";

const soon = 300;
/** Handing a long conversation to the database takes the page's time; saving may take this share of it. */
const share = 1 / 20;

/** A small store that answers at once, as localStorage does. */
export interface Notes {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

const key = "fovea.unsaved";

export class Saver {
  readonly #shelf: Shelf;
  readonly #notes: Notes | undefined;
  readonly #onFailure: (error: Error) => void;
  readonly #dirty = new Map<string, Conversation>();
  #wait = soon;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(shelf: Shelf, notes: Notes | undefined, onFailure: (error: Error) => void) {
    this.#shelf = shelf;
    this.#notes = notes;
    this.#onFailure = onFailure;
  }

  save(conversation: Conversation): void {
    this.#dirty.set(conversation.id, conversation);
    this.#timer ??= setTimeout(() => void this.flush(), this.#wait);
  }

  /** A conversation that was removed must not come back with a save that waits. */
  forget(id: string): void {
    this.#dirty.delete(id);
  }

  /** One write after the other, so that an older state never overtakes a newer one. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#saving = this.#saving.then(async () => {
      for (const [id, conversation] of this.#dirty)
        try {
          const started = performance.now();
          const saved = this.#shelf.save(conversation);
          this.#wait = Math.max(soon, (performance.now() - started) / share);
          await saved;
        } catch (error) {
          this.#onFailure(error as Error);
        } finally {
          // What has changed meanwhile is saved in its turn.
          if (this.#dirty.get(id) === conversation) this.#dirty.delete(id);
        }
    });
    return this.#saving;
  }

  /** The page goes: a database would not be done in time. */
  leave(): void {
    if (this.#dirty.size === 0) return;
    try {
      this.#notes?.setItem(key, JSON.stringify([...this.#dirty.values()]));
    } catch {
      // Too large for the note; what was saved last is at most a moment old.
    }
    void this.flush();
  }

  /** Saves what an earlier page left, unless it came back and went on. */
  async recover(): Promise<void> {
    const note = this.#notes?.getItem(key);
    if (!note) return;
    try {
      for (const conversation of JSON.parse(note) as Conversation[]) {
        const kept = await this.#shelf.load(conversation.id);
        if (kept === undefined || kept.updated <= conversation.updated) await this.#shelf.save(conversation);
      }
    } finally {
      this.#notes?.removeItem(key);
    }
  }
}
