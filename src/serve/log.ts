/** The server's log: a JSON object in each line. Knows pino; a log that cannot be written never stops the server. */
import { openSync } from "node:fs";
import type { Writable } from "node:stream";
import pino, { type Logger } from "pino";
import { ParameterError } from "../base/errors.ts";
import { writeProblem } from "../checkpoint/file.ts";

/** Bytes that wait for a slow disk; what exceeds them is lost. */
const WAITING = 1 << 20;

/**
 * @param file is added to; without one the lines go to `errors`
 * @param errors is told once when the file cannot be written any more
 * @throws ParameterError when it cannot be opened: a log that was asked for would be missed too late
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
  const destination = pino.destination({ dest: openLog(file), sync: false, maxLength: WAITING });
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

function openLog(file: string): number {
  try {
    return openSync(file, "a");
  } catch (error) {
    throw new ParameterError("logFile", `${file}: ${writeProblem(error)}`);
  }
}

/** A stream to a file throws when the disk is full; the next line may find room again. */
function tell(stream: Writable, line: string): void {
  try {
    stream.write(line);
  } catch {}
}
