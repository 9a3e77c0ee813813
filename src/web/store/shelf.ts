/**
 * Where conversations are kept: IndexedDB, which takes large ones and does not block the page. Heads lie in a store of
 * their own, so that the list is there without reading what was said.
 */
import { type Conversation, type Head, headOf } from "./types.ts";

export interface Shelf {
  heads(): Promise<readonly Head[]>;
  load(id: string): Promise<Conversation | undefined>;
  save(conversation: Conversation): Promise<void>;
  remove(id: string): Promise<void>;
}

const heads = "heads";
const bodies = "conversations";

export async function openShelf(name = "fovea"): Promise<Shelf> {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(heads, { keyPath: "id" });
    opening.result.createObjectStore(bodies, { keyPath: "id" });
  };
  const database = await outcome(opening);
  /** Done when the transaction is: what was saved is on the disk's way. */
  const write = (work: (heads: IDBObjectStore, bodies: IDBObjectStore) => void) =>
    new Promise<void>((resolve, reject) => {
      const transaction = database.transaction([heads, bodies], "readwrite");
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      work(transaction.objectStore(heads), transaction.objectStore(bodies));
    });
  const store = (which: string) => database.transaction(which).objectStore(which);
  return {
    heads: () => outcome<Head[]>(store(heads).getAll()),
    load: (id) => outcome<Conversation | undefined>(store(bodies).get(id)),
    save: (conversation) =>
      write((heads, bodies) => {
        heads.put(headOf(conversation));
        bodies.put(conversation);
      }),
    remove: (id) =>
      write((heads, bodies) => {
        heads.delete(id);
        bodies.delete(id);
      }),
  };
}

const outcome = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** For browsers that let this page keep nothing: conversations last as long as the page. */
export function memoryShelf(): Shelf {
  const kept = new Map<string, Conversation>();
  return {
    heads: async () => [...kept.values()].map(headOf),
    load: async (id) => kept.get(id),
    save: async (conversation) => void kept.set(conversation.id, conversation),
    remove: async (id) => void kept.delete(id),
  };
}
