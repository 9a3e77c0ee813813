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
  if (file === undefined) return pino(options, { write: (line) => tell(errors, line) });
  let told = false;
  let failing = false;
  // Before pino's own listener, which would try without end to write what is left.
  process.once("exit", () => {
    if (failing) destination.destroy();
  });
  const destination = pino.destination({ dest: file, sync: false, maxLength: WAITING });
  destination.on("write", () => {
    failing = false;
  });
  destination.on("error", (error: Error) => {
    failing = true;
    if (!told) tell(errors, `fovea: the log is not complete: ${error.message}\n`);
    told = true;
  });
  return pino(options, destination);
}

/** A stream to a file throws when the disk is full; the next line may find room again. */
function tell(stream: Writable, line: string): void {
  try {
    stream.write(line);
  } catch {}
}
