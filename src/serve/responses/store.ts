/**
 * Responses that are kept so that a later request can go on from them. In memory: they end with the server, and the
 * oldest make room for new ones. Knows nothing of what they say.
 */
import { ApiError } from "../errors.ts";

/** What is kept may take this many characters of JSON. */
const ROOM = 64 << 20;

interface Entry<T> {
  readonly owner: string;
  readonly value: T;
  readonly size: number;
}

export class ResponseStore<T> {
  private readonly entries = new Map<string, Entry<T>>();
  private size = 0;
  private readonly room: number;

  constructor(room = ROOM) {
    this.room = room;
  }

  /** @param owner who alone may see it */
  put(id: string, owner: string, value: T): void {
    const size = JSON.stringify(value).length;
    this.entries.set(id, { owner, value, size });
    this.size += size;
    for (const [oldest, entry] of this.entries) {
      if (this.size <= this.room) break;
      this.entries.delete(oldest);
      this.size -= entry.size;
    }
  }

  /** A response of somebody else is as absent as one that never was. */
  get(id: string, owner: string, param?: string): T {
    const entry = this.entries.get(id);
    if (entry?.owner !== owner)
      throw new ApiError(
        404,
        `there is no response "${id}" here; the oldest are forgotten, all with the server`,
        {
          code: "response_not_found",
          ...(param === undefined ? {} : { param }),
        },
      );
    return entry.value;
  }

  delete(id: string, owner: string): void {
    this.get(id, owner);
    this.size -= this.entries.get(id)!.size;
    this.entries.delete(id);
  }
}
