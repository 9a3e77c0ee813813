/** The server's log: a JSON object in each line. Knows pino; a log that cannot be written never stops the server. */
import type { Writable } from "node:stream";
import pino, { type Logger } from "pino";

/** Bytes that wait for a slow disk; what exceeds them is lost. */
const WAITING = 1 << 20;

/**
 * @param file is added to; without one the lines go to `errors`
 * @param errors is told once when the file cannot be written
 */
export function createLog(level: string, file: string | undefined, errors: Writable): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (file === undefined) return pino(options, errors);
  const destination = pino.destination({ dest: file, sync: false, maxLength: WAITING });
  let told = false;
  destination.on("error", (error: Error) => {
    if (!told) errors.write(`fovea: the log is not complete: ${error.message}\n`);
    told = true;
  });
  return pino(options, destination);
}
