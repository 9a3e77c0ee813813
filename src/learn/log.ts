/**
 * The log of a training: one JSON object a line. Its position is part of the training's state, so that lines which were
 * written after the last save, and whose steps will be made again, are taken away first. Knows lines and files.
 */
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { CheckpointError } from "../base/errors.ts";

/** Means over the steps since the line before. */
export interface StepLine {
  readonly kind: "step";
  /** Steps made so far. */
  readonly step: number;
  readonly tokens: number;
  readonly loss: number;
  readonly norm: number;
  readonly rate: number;
  /** Of training, over all runs. */
  readonly seconds: number;
  readonly tokensPerSecond: number;
}

export interface ValidationLine {
  readonly kind: "validation";
  readonly step: number;
  readonly tokens: number;
  readonly seconds: number;
  /** Nats per token. */
  readonly loss: number;
  /** Other figures by name, such as bits per byte. */
  readonly [figure: string]: number | string;
}

export type LogLine = StepLine | ValidationLine;

export class Log {
  private readonly file: number;
  private size: number;

  /** Opens or makes the file and cuts it to the given size; 0 begins anew. */
  constructor(path: string, size: number) {
    this.file = openSync(path, existsSync(path) ? "r+" : "w+");
    if (fstatSync(this.file).size < size) {
      closeSync(this.file);
      throw new CheckpointError(
        path,
        "is shorter than when the training was saved; restore it, or begin in another folder",
      );
    }
    ftruncateSync(this.file, size);
    this.size = size;
  }

  /** Bytes so far. */
  get position(): number {
    return this.size;
  }

  write(line: LogLine): void {
    this.size += writeSync(this.file, `${JSON.stringify(line)}\n`, this.size);
  }

  close(): void {
    closeSync(this.file);
  }
}

/** All lines of a log. A last line that is not whole is left out: a training may be writing it. */
export function readLog(path: string): LogLine[] {
  const lines = readFileSync(path, "utf8").split("\n");
  lines.pop();
  return lines.map((text, i) => {
    try {
      const line = JSON.parse(text) as Partial<LogLine>;
      if (typeof line.step === "number" && typeof line.loss === "number") return line as LogLine;
    } catch {
      // Told below.
    }
    throw new CheckpointError(
      path,
      `line ${i + 1} is not of a training's log; give the log.jsonl that a training wrote`,
    );
  });
}
