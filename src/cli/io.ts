/** The outside world of a command: its streams and the signal that the user wants it to end. */
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { FoveaError, ParameterError } from "../base/errors.ts";

export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };
export type Input = Readable & { readonly isTTY?: boolean };

export interface Io {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborted by Ctrl-C and by a request to terminate. */
  readonly signal: AbortSignal;
}

/** The reader of our output has gone, as `head` does. */
export class OutputClosed extends Error {}

/** Writes, and waits while the reader is slower than we are. */
export async function print(output: Output, text: string): Promise<void> {
  if (output.destroyed || output.writableEnded) throw new OutputClosed();
  try {
    if (!output.write(text)) await once(output, "drain");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === "EPIPE" ? new OutputClosed() : new FoveaError(`cannot write the output: ${message}`);
  }
}

export const printJson = (output: Output, value: unknown): Promise<void> =>
  print(output, `${JSON.stringify(value)}\n`);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text of UTF-8; other bytes, such as those of a picture, would be read as noise and are refused. */
export function textOf(bytes: Uint8Array, flag: string, from: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new ParameterError(flag, `${from} is not text in UTF-8`);
  }
}

/** All of the input as text. @param flag what asked for it */
export async function readAll(input: Input, flag: string, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  const stop = () => input.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const chunk of input) chunks.push(Buffer.from(chunk as Uint8Array | string));
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
  signal.throwIfAborted();
  return textOf(Buffer.concat(chunks), flag, "standard input");
}
