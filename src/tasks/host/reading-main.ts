/** A thread that makes tokens of long texts, one after the other; see `reading.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { promptIds } from "../prompt-ids.ts";
import { plainError } from "./protocol.ts";
import type { ReadReply, ReadRequest } from "./reading.ts";
import { tokenizerAt } from "./tokenizer-at.ts";

const port = parentPort!;
const tokenizer = tokenizerAt(workerData as string)!;

port.on("message", ({ id, text, context, options }: ReadRequest) => {
  try {
    const ids = Int32Array.from(promptIds(tokenizer, text, context, options));
    port.postMessage({ id, ids } satisfies ReadReply, [ids.buffer]);
  } catch (error) {
    port.postMessage({ id, error: plainError(error) } satisfies ReadReply);
  }
});
