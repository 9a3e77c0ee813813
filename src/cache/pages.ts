/**
 * Which page is used how often, and which are kept for later: reference counts and a free list. Numbers only; no
 * memory, and nothing of what stands in a page.
 */

export class PageTable {
  /** Pages that may exist at most. */
  readonly capacity: number;
  /** Sequences that use each page. */
  private readonly users: number[] = [];
  /** Whether each page is kept beyond its users. */
  private readonly kept: boolean[] = [];
  private readonly free: number[] = [];
  private unused = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Pages that exist, used or not. */
  get size(): number {
    return this.users.length;
  }

  /** Pages that can be taken without a growth. */
  get vacant(): number {
    return this.free.length;
  }

  /** Pages that are kept, and used by nobody. */
  get idle(): number {
    return this.unused;
  }

  /** Pages that can be had: free ones, ones that do not exist yet, and those that are kept for nobody in particular. */
  get available(): number {
    return this.capacity - this.size + this.vacant + this.idle;
  }

  /** Pages that several use. */
  get shared(): number {
    return this.users.reduce((sum, count) => sum + Number(count > 1), 0);
  }

  /** How many use each page; −1: nobody, but it is kept. */
  usage(): Int32Array {
    return Int32Array.from(this.users, (count, page) => (count === 0 && this.kept[page] ? -1 : count));
  }

  grow(size: number): void {
    for (let page = size - 1; page >= this.users.length; page--) this.free.push(page);
    while (this.users.length < size) {
      this.users.push(0);
      this.kept.push(false);
    }
  }

  /** A page that nobody uses and that is not kept; undefined when there is none. */
  take(): number | undefined {
    const page = this.free.pop();
    if (page !== undefined) this.users[page] = 1;
    return page;
  }

  share(page: number): void {
    if (this.users[page]!++ === 0) this.unused--;
  }

  give(page: number): void {
    if (--this.users[page]! > 0) return;
    if (this.kept[page]) this.unused++;
    else this.free.push(page);
  }

  usersOf(page: number): number {
    return this.users[page]!;
  }

  /** Whether what stands in the page must stay: others use it, or it is kept. */
  isShared(page: number): boolean {
    return this.users[page]! > 1 || this.kept[page]!;
  }

  /** Keeps a page, which somebody uses, beyond its users. */
  keep(page: number): void {
    this.kept[page] = true;
  }

  /** Keeps a page no longer. */
  drop(page: number): void {
    this.kept[page] = false;
    if (this.users[page]! > 0) return;
    this.unused--;
    this.free.push(page);
  }
}
