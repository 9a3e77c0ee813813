/** Runs the command line in this process, over streams in memory and services of the test's choice. */
import { PassThrough, Readable } from "node:stream";
import type { Input, Output } from "../../src/cli/io.ts";
import { run } from "../../src/cli/run.ts";
import type { Services } from "../../src/cli/services.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly services?: Partial<Services>;
  readonly stdin?: string | Uint8Array;
  /** Whether the error stream is a terminal, which gets bars. */
  readonly terminal?: boolean;
  readonly signal?: AbortSignal;
  /** Told of everything printed so far, after each write. */
  readonly onOutput?: (out: string) => void;
}

const missing = (name: string) => () => Promise.reject(new Error(`the test gave no ${name}`));

export async function runCli(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const sink = (take: (text: string) => void, isTTY: boolean): Output => {
    const stream = new PassThrough();
    stream.on("data", (data: Buffer) => take(data.toString()));
    return Object.assign(stream, { isTTY, columns: 80 });
  };
  const { stdin } = options;
  const bytes = typeof stdin === "string" ? Buffer.from(stdin) : stdin;
  const code = await run(
    argv,
    {
      stdin: Readable.from(bytes === undefined ? [] : [bytes]) as Input,
      stdout: sink((text) => {
        out += text;
        options.onOutput?.(out);
      }, false),
      stderr: sink((text) => {
        err += text;
      }, options.terminal === true),
      signal: options.signal ?? new AbortController().signal,
    },
    {
      open: missing("model"),
      host: missing("hosted model"),
      openRandom: missing("random model"),
      pull: missing("hub"),
      tune: missing("tuner"),
      tuned: missing("table"),
      inspect: missing("checkpoint"),
      quantize: missing("converter"),
      ...options.services,
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  return { code, out, err };
}

/** Services that open this model, whatever is named. */
export const opening = (model: LanguageModel): Partial<Services> => ({
  open: async () => model,
  host: async () => model,
  openRandom: async () => model,
});
