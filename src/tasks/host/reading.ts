/**
 * Long texts become tokens on a thread of their own: a megabyte takes a good part of a second, in which neither the
 * server's process nor the model's would answer anybody. Knows texts and ids; must not know prompts or models.
 */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { FoveaError } from "../../base/errors.ts";
import type { EncodeOptions, Tokenizer } from "../../checkpoint/tokenizer/index.ts";
import { promptIds } from "../prompt-ids.ts";
import { errorFrom, type PlainError } from "./protocol.ts";

/** The built file, from src/tasks/host and from dist/tasks/host alike: Node does not run TypeScript. */
const MAIN = fileURLToPath(new URL("../../../dist/tasks/host/reading-main.js", import.meta.url));
/** Characters that take some milliseconds, and are read at once. */
export const LONG = 16 * 1024;

/** To the thread: one text. */
export interface ReadRequest {
  readonly id: number;
  readonly text: string;
  /** More than twice as many tokens are refused. */
  readonly context: number;
  readonly options: EncodeOptions;
}

export type ReadReply = { readonly id: number } & (
  | { readonly ids: Int32Array }
  | { readonly error: PlainError }
);

interface Pending {
  resolve(ids: number[]): void;
  reject(error: Error): void;
}

export class Reading {
  private readonly tokenizer: Tokenizer;
  private readonly path: string | undefined;
  private worker: Worker | undefined;
  private readonly pending = new Map<number, Pending>();
  private nextId = 0;
  private closed = false;

  /** @param path what the tokenizer was opened from, for the thread to open it again when it is first needed; without, there is none */
  constructor(tokenizer: Tokenizer, path: string | undefined) {
    this.tokenizer = tokenizer;
    this.path = path;
  }

  /** What `promptIds` gives, or throws. */
  async ids(text: string, context: number, options: EncodeOptions): Promise<readonly number[]> {
    const { path } = this;
    if (text.length <= LONG || path === undefined) return promptIds(this.tokenizer, text, context, options);
    if (this.closed) throw new FoveaError("the model is closed");
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker ??= this.start(path);
      this.worker.postMessage({ id, text, context, options } satisfies ReadRequest);
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.worker?.terminate();
  }

  private start(path: string): Worker {
    const worker = new Worker(MAIN, { workerData: path });
    // A server that has come to its end waits for nobody.
    worker.unref();
    worker.on("message", (reply: ReadReply) => {
      const one = this.pending.get(reply.id);
      this.pending.delete(reply.id);
      if ("ids" in reply) one?.resolve(Array.from(reply.ids));
      else one?.reject(errorFrom(reply.error));
    });
    const gone = (error: Error): void => {
      if (this.worker !== worker) return;
      this.worker = undefined;
      for (const one of this.pending.values()) one.reject(error);
      this.pending.clear();
    };
    worker.once("error", gone);
    worker.once("exit", () => gone(new FoveaError("the thread that reads long texts has ended")));
    return worker;
  }
}
