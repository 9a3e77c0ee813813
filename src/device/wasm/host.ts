/** What the WebAssembly device needs of the place where it runs: Node, or a page. */

/** A worker thread. */
export interface Thread {
  /** Keeps the process alive while it works. */
  hold(held: boolean): void;
  terminate(): void;
}

export interface ThreadEvents {
  message(data: unknown): void;
  error(problem: unknown): void;
}

export interface Host {
  /** Whether memory can be shared with worker threads. */
  readonly shared: boolean;
  /** Threads to use when nobody says how many. */
  readonly cores: number;
  /** The module's bytes. */
  binary(): Promise<Uint8Array<ArrayBuffer>>;
  /** Runs `source`, in which `data` is what is given here and `post` sends a message. */
  spawn(source: string, data: unknown, events: ThreadEvents): Thread;
}

export async function thisHost(): Promise<Host> {
  const node = typeof process !== "undefined" && process.versions?.node !== undefined;
  return node ? (await import("./node.ts")).host : (await import("./page.ts")).host;
}
