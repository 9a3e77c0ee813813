#!/usr/bin/env node
/** The process around the command line: streams, signals, exit code. */
import { run } from "./run.ts";

const controller = new AbortController();
const stop = () => {
  // The second request does not wait for anything.
  if (controller.signal.aborted) process.exit(130);
  controller.abort();
};
process.on("SIGINT", stop);
process.on("SIGTERM", stop);
// A reader that went away is noticed by the next write (io.ts).
process.stdout.on("error", () => process.stdout.destroy());
// What cannot be told there, because its disk is full or its reader has gone, cannot be told anywhere.
process.stderr.on("error", () => {});

const { stdin, stdout, stderr } = process;
const code = await run(process.argv.slice(2), { stdin, stdout, stderr, signal: controller.signal });
// What is still in the pipes goes out first; handles that a library left open do not keep the process.
for (const output of [stdout, stderr])
  if (output.writable) await new Promise<void>((resolve) => output.write("", () => resolve()));
process.exit(code);
