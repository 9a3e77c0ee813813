/** Which page belongs to which sequence: reference counts and a free list. Numbers only; no memory. */

export class PageTable {
  private readonly references: number[] = [];
  private readonly free: number[] = [];

  /** Pages that exist, used or not. */
  get size(): number {
    return this.references.length;
  }

  get used(): number {
    return this.references.length - this.free.length;
  }

  grow(size: number): void {
    for (let page = size - 1; page >= this.references.length; page--) this.free.push(page);
    while (this.references.length < size) this.references.push(0);
  }

  /** A page that nobody uses; undefined when the table must grow first. */
  take(): number | undefined {
    const page = this.free.pop();
    if (page !== undefined) this.references[page] = 1;
    return page;
  }

  share(page: number): void {
    this.references[page]!++;
  }

  isShared(page: number): boolean {
    return this.references[page]! > 1;
  }

  give(page: number): void {
    if (--this.references[page]! === 0) this.free.push(page);
  }
}
