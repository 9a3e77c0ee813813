/**
 * The process that holds a model: starts it, starts it again when it ends unexpectedly, and carries messages. Knows
 * processes; must not know what is asked of the model.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FoveaError } from "../../base/errors.ts";
import { errorFrom, type Facts, type PlainOpen, type Reply, type Request, type Source } from "./protocol.ts";

/** The built file, from src/tasks/host and from dist/tasks/host alike: Node does not run TypeScript. */
const MAIN = fileURLToPath(new URL("../../../dist/tasks/host/main.js", import.meta.url));
/** A host that ended this often within a minute would do so again. */
const MOST_ENDS = 3;
const MINUTE = 60_000;
/** Milliseconds that a host gets to end by itself. */
const CLOSING = 10_000;

export interface ProcessOptions {
  readonly source: Source;
  readonly open: PlainOpen;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Told when a host that had opened the model has ended unexpectedly. */
  readonly onCrash?: ((error: Error) => void) | undefined;
}

/** What a host says once it has opened the model. */
export type WorkReply = Exclude<Reply, { kind: "opened" | "failed" | "progress" }>;

export interface HostUser {
  /** A host has opened the model once more. */
  reopened(): void;
  take(reply: WorkReply): void;
  /** The host has ended: what it worked on is lost. */
  ended(error: FoveaError): void;
}

export class HostProcess {
  /** Whoever uses the model; nobody until it has been opened. */
  user: HostUser | undefined;
  private readonly options: ProcessOptions;
  private child: ChildProcess | undefined;
  /** Settles when the present host has opened the model, or cannot. */
  private opening: Promise<Facts>;
  /** Whether the present host has opened it. */
  private opened = false;
  private ends: number[] = [];
  private closing = false;

  constructor(options: ProcessOptions) {
    this.options = options;
    this.opening = this.start();
  }

  /** Undefined between two hosts. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Whether what is asked now is worked on at once. */
  get ready(): boolean {
    return this.child?.connected === true && this.opened;
  }

  /** Settles when there is a host. One that was given up is tried again once its ends are a minute ago. */
  standing(): Promise<Facts> {
    if (this.closing) return Promise.reject(new FoveaError("the model is closed"));
    if (!this.child && this.recentEnds() <= MOST_ENDS) this.opening = this.start();
    return this.opening;
  }

  send(request: Request): void {
    if (this.child?.connected) this.child.send(request, () => {}); // a host that is gone says so by its exit
  }

  kill(): void {
    this.child?.kill("SIGKILL");
  }

  async close(): Promise<void> {
    this.closing = true;
    const { child } = this;
    if (child?.pid === undefined) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const late = setTimeout(() => this.kill(), CLOSING);
    this.send({ kind: "close" });
    await ended;
    clearTimeout(late);
  }

  private start(): Promise<Facts> {
    const opening = new Promise<Facts>((resolve, reject) => {
      const child = fork(MAIN, { serialization: "advanced", stdio: ["ignore", 2, 2, "ipc"] });
      this.child = child;
      this.opened = false;
      child.on("message", (reply: Reply) => {
        // What one has said that is gone can come after its end.
        if (this.child !== child) return;
        if (reply.kind === "opened") {
          this.opened = true;
          this.user?.reopened();
          resolve(reply.facts);
        } else if (reply.kind === "failed") reject(errorFrom(reply.error));
        else if (reply.kind !== "progress") this.user?.take(reply);
        else if (!this.user) this.options.onProgress?.(reply.done, reply.total);
      });
      const gone = (why: string): void => {
        const error = new FoveaError(`the model's process ${why}`);
        this.child = undefined;
        reject(error);
        this.user?.ended(error);
        if (this.user && !this.closing) this.restart(error);
      };
      // One that could not be started has no exit; what else goes wrong with one that runs, its exit tells.
      child.on("error", ({ message }) => child.pid === undefined && gone(`cannot start: ${message}`));
      child.once("exit", (code, signal) =>
        gone(`ended unexpectedly (${signal ?? `exit code ${code}`}); what it was working on is lost`),
      );
    });
    // Whoever asks for something is told; nobody need have asked.
    opening.catch(() => {});
    this.send({ kind: "open", source: this.options.source, options: this.options.open });
    return opening;
  }

  private restart(error: FoveaError): void {
    this.options.onCrash?.(error);
    this.ends.push(performance.now());
    const ends = this.recentEnds();
    if (ends <= MOST_ENDS) {
      this.opening = this.start();
      return;
    }
    const why = `the model's process ended ${ends} times within a minute; it is tried again once that is a minute ago`;
    this.opening = Promise.reject(new FoveaError(why));
    this.opening.catch(() => {});
  }

  private recentEnds(): number {
    const now = performance.now();
    this.ends = this.ends.filter((end) => now - end < MINUTE);
    return this.ends.length;
  }
}
