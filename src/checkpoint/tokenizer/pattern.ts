/**
 * Regular expressions that checkpoints bring: translated from Oniguruma's syntax, and run under a time
 * limit unless Fovea knows them, since a hostile one can take for ever. Knows nothing of what they cut.
 */
import * as library from "@huggingface/tokenizers";
import { CheckpointError } from "../../base/errors.ts";
import { knownPatterns } from "./known-patterns.ts";

const MAX_SOURCE = 32768;
const TIME_LIMIT_MS = 2000;
/** Ten times what a busy machine needs. */
const TIME_LIMIT_MS_PER_CHARACTER = 0.01;

/** The package translates patterns when it makes a pre-tokenizer; its declared types do not resolve here. */
const { SplitPreTokenizer } = library as unknown as {
  SplitPreTokenizer: new (config: {
    type: "Split";
    pattern: { Regex: string };
    behavior: "Isolated";
  }) => { pattern: RegExp };
};

/** A stretch of text, and whether the pattern matched it. */
export type Stretch = readonly [text: string, matched: boolean];

export class Pattern {
  readonly #regex: RegExp;
  readonly #trusted: boolean;
  readonly #file: string;
  readonly #field: string;

  private constructor(regex: RegExp, trusted: boolean, file: string, field: string) {
    this.#regex = regex;
    this.#trusted = trusted;
    this.#file = file;
    this.#field = field;
  }

  /** From the syntax that tokenizer.json and llama.cpp use. */
  static fromOniguruma(source: string, file: string, field: string): Pattern {
    if (source.length > MAX_SOURCE)
      throw new CheckpointError(file, `a pattern of ${source.length} characters is too long`, { field });
    let regex: RegExp;
    try {
      regex = new SplitPreTokenizer({
        type: "Split",
        pattern: { Regex: source },
        behavior: "Isolated",
      }).pattern;
    } catch (cause) {
      throw new CheckpointError(file, `cannot read the pattern ${JSON.stringify(source.slice(0, 200))}`, {
        field,
        cause,
      });
    }
    return new Pattern(regex, knownPatterns.has(source), file, field);
  }

  /** A pattern that Fovea wrote, with the flags "gu". */
  static own(regex: RegExp): Pattern {
    return new Pattern(regex, true, "", "");
  }

  /** Matches the text itself. */
  static literal(text: string): Pattern {
    return Pattern.own(new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "gu"));
  }

  /** The text cut into stretches that the pattern matches and stretches between; none is empty. */
  stretches(text: string): Stretch[] {
    return this.#run(text.length, () => {
      const matches = text.match(this.#regex) ?? [];
      let covered = 0;
      for (const match of matches) covered += match.length;
      // Most patterns match all of a text: then the matches are the cut.
      if (covered === text.length && covered > 0)
        return matches.filter((match) => match !== "").map((match) => [match, true] as const);
      const out: Stretch[] = [];
      let end = 0;
      for (const match of text.matchAll(this.#regex)) {
        if (match[0] === "") continue;
        if (match.index > end) out.push([text.slice(end, match.index), false]);
        out.push([match[0], true]);
        end = match.index + match[0].length;
      }
      if (end < text.length) out.push([text.slice(end), false]);
      return out;
    });
  }

  replace(text: string, by: string): string {
    return this.#run(text.length, () => text.replace(this.#regex, () => by));
  }

  #run<T>(length: number, work: () => T): T {
    return this.#trusted ? work() : withTimeLimit(this.#file, this.#field, length, work);
  }
}

type Runner = { runInThisContext(options: { timeout: number }): unknown };
const slot = Symbol.for("fovea.pattern.work");
let runner: Runner | undefined;
let limited = false;

/**
 * Stops work on a text of some length that takes far too long, even in the middle of a match, where the
 * platform can (Node). A limit costs a tenth of a millisecond, so steps on the same text share one.
 */
export function withTimeLimit<T>(file: string, field: string, length: number, work: () => T): T {
  const vm = limited ? undefined : globalThis.process?.getBuiltinModule?.("node:vm");
  if (vm === undefined) return work();
  runner ??= new vm.Script(`globalThis[Symbol.for("fovea.pattern.work")]()`);
  const host = globalThis as { [slot]?: () => T };
  host[slot] = work;
  limited = true;
  const timeout = Math.ceil(TIME_LIMIT_MS + length * TIME_LIMIT_MS_PER_CHARACTER);
  try {
    return runner.runInThisContext({ timeout }) as T;
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw cause;
    throw new CheckpointError(file, `the pattern took longer than ${timeout} ms on a text`, { field, cause });
  } finally {
    delete host[slot];
    limited = false;
  }
}
