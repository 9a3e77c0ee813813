/** What a request gives, in order, to one reader who may be slower than the engine. Knows no tokens. */

interface Reader<T> {
  resolve(result: IteratorResult<T>): void;
  reject(error: unknown): void;
}

export class EventQueue<T> implements AsyncIterableIterator<T> {
  private readonly items: T[] = [];
  private readonly readers: Reader<T>[] = [];
  private ended = false;
  private error: unknown;
  private readonly onRead: () => void;
  private readonly onReturn: () => void;

  /** @param onRead after each item that is taken; @param onReturn when the reader wants no more */
  constructor(onRead: () => void, onReturn: () => void) {
    this.onRead = onRead;
    this.onReturn = onReturn;
  }

  /** Items that nobody has read yet. */
  get unread(): number {
    return this.items.length;
  }

  push(item: T): void {
    const reader = this.readers.length > 0 ? this.readers.shift() : undefined;
    if (reader) reader.resolve({ done: false, value: item });
    else if (!this.ended) this.items.push(item);
  }

  end(): void {
    this.ended = true;
    for (const reader of this.readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  /** Ends with an error, which the reader gets after all items. */
  fail(error: unknown): void {
    this.error = error;
    const reader = this.readers.shift();
    if (reader) {
      this.error = undefined;
      reader.reject(error);
    }
    this.end();
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.items.length > 0 ? this.items.shift() : undefined;
    if (item !== undefined) {
      this.onRead();
      return Promise.resolve({ done: false, value: item });
    }
    if (this.error !== undefined) {
      const { error } = this;
      this.error = undefined;
      return Promise.reject(error);
    }
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T>> {
    this.items.length = 0;
    this.error = undefined;
    this.end();
    this.onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
