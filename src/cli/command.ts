/** What every command is made of, and how it says that it was called wrongly. */
import type { Command } from "commander";
import type { Io } from "./io.ts";
import type { Services } from "./services.ts";

export interface CommandContext {
  readonly io: Io;
  readonly services: Services;
}

/** Adds one command to the program. */
export type AddCommand = (program: Command, context: CommandContext) => void;

/** The command was called in a way that cannot work. Exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The text after the options in `--help`. */
export const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ fovea ${line}\n`).join("")}`;
