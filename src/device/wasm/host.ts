/** What the WebAssembly device needs of the place where it runs: Node, or a page. */

import type { Isa } from "./binaries.ts";

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
  /** The instruction set that the user of this process wants, if any; not checked. */
  readonly isa?: string | undefined;
  /** Why relaxed instructions are not to be used here, even where they are understood. */
  readonly distrust?: string | undefined;
  /** The bytes of the module for an instruction set. */
  binary(isa: Isa): Promise<Uint8Array<ArrayBuffer>>;
  /** Runs `source`, in which `data` is what is given here and `post` sends a message. */
  spawn(source: string, data: unknown, events: ThreadEvents): Thread;
}

export async function thisHost(): Promise<Host> {
  const node = typeof process !== "undefined" && process.versions?.node !== undefined;
  return node ? (await import("./node.ts")).host : (await import("./page.ts")).host;
}
