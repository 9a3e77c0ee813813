/**
 * A checkpoint's own chat template, rendered by Jinja with bounds on time and size, since templates are
 * programs that strangers wrote. Knows nothing of models or ids.
 */
import { CheckpointError, FoveaError, ParameterError } from "../../base/errors.ts";
import type { JsonObject } from "./fields.ts";
import { type Environment, jinja, type RuntimeValue, type Statement } from "./jinja.ts";
import { strftime } from "./strftime.ts";

export interface RenderOptions {
  /** JSON schemas of functions that the model may call. */
  tools?: readonly unknown[];
  /** End with what begins the assistant's turn. Default false. */
  addGenerationPrompt?: boolean;
  /** What `strftime_now` says. Default: now. */
  now?: Date;
  /** More names for the template, such as `enable_thinking` or `documents`. */
  variables?: Readonly<Record<string, unknown>>;
}

const MAX_TEMPLATE = 1 << 20;
/** As in Jinja's sandbox. */
const MAX_RANGE = 100_000;
const MAX_STEPS = 1_000_000;
const MAX_MILLISECONDS = 5000;
const MAX_TEXT = 1 << 26;
const MAX_ITEMS = 1 << 20;
/** Of `indent`, in spaces. */
const MAX_INDENT = 64;

/** What a template asked to be refused with `raise_exception`. */
class Raised extends FoveaError {}

export class ChatTemplate {
  /** The template as the checkpoint has it. */
  readonly source: string;
  readonly #tokens: JsonObject;
  readonly #file: string;
  readonly #field: string;
  readonly #toolUse: string | undefined;
  readonly #programs = new Map<string, Statement>();

  /**
   * @param tokens what the template knows as bos_token, eos_token, ...
   * @param toolUse the template that takes the place of `source` when tools are given
   */
  constructor(source: string, tokens: JsonObject, file: string, field: string, toolUse?: string) {
    this.source = source;
    this.#tokens = tokens;
    this.#file = file;
    this.#field = field;
    this.#toolUse = toolUse;
  }

  /** The template that is used when tools are given. */
  get toolSource(): string {
    return this.#toolUse ?? this.source;
  }

  /**
   * The text of a conversation. A conversation that the template refuses is a ParameterError on `messages`;
   * a template that cannot run is a CheckpointError.
   */
  render(messages: readonly unknown[], options: RenderOptions = {}): string {
    const { tools, now = new Date() } = options;
    const source = tools !== undefined && this.#toolUse !== undefined ? this.#toolUse : this.source;
    const environment = new jinja.Environment();
    const names: Record<string, unknown> = {
      ...options.variables,
      false: false,
      true: true,
      none: null,
      False: false,
      True: true,
      None: null,
      range: boundedRange,
      strftime_now: (format: unknown) => strftime(now, String(format)),
      raise_exception: (message: unknown) => {
        throw new Raised(String(message));
      },
      ...this.#tokens,
      add_generation_prompt: options.addGenerationPrompt ?? false,
      messages,
    };
    if (tools !== undefined) names.tools = tools;
    try {
      for (const [name, value] of Object.entries(names))
        if (name !== "namespace") environment.set(name, value);
      const result = new BoundedInterpreter(environment).run(this.#program(source));
      return String(result.value);
    } catch (cause) {
      if (cause instanceof CheckpointError) throw cause;
      if (cause instanceof Raised)
        throw new ParameterError("messages", `the chat template says: ${cause.message}`);
      this.#fail(
        `the chat template failed: ${cause instanceof Error ? cause.message : String(cause)}`,
        cause,
      );
    }
  }

  #program(source: string): Statement {
    let program = this.#programs.get(source);
    if (program !== undefined) return program;
    if (source.length > MAX_TEMPLATE)
      this.#fail(`a chat template of ${source.length} characters is too long`);
    try {
      program = jinja.parse(jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#fail(`the chat template is not valid Jinja: ${reason}`, cause);
    }
    this.#programs.set(source, program);
    return program;
  }

  #fail(problem: string, cause?: unknown): never {
    throw new CheckpointError(this.#file, problem, { field: this.#field, cause });
  }
}

/** Counts what a template does, and stops it when that is too much. */
class BoundedInterpreter extends jinja.Interpreter {
  #steps = 0;
  readonly #deadline = performance.now() + MAX_MILLISECONDS;

  override evaluate(statement: Statement | undefined, environment: Environment): RuntimeValue {
    if (++this.#steps > MAX_STEPS) throw new Error(`more than ${MAX_STEPS} steps`);
    if (this.#steps % 256 === 0 && performance.now() > this.#deadline)
      throw new Error(`more than ${MAX_MILLISECONDS} ms`);
    if (statement?.filter !== undefined) this.#checkFilter(statement.filter, environment);
    const result = super.evaluate(statement, environment);
    if (result.type === "StringValue" && (result.value as string).length > MAX_TEXT)
      throw new Error(`a text longer than ${MAX_TEXT} characters`);
    if (result.type === "ArrayValue" && (result.value as unknown[]).length > MAX_ITEMS)
      throw new Error(`a list longer than ${MAX_ITEMS} items`);
    return result;
  }

  /** A huge indentation would be made before its result could be refused. */
  #checkFilter(filter: unknown, environment: Environment): void {
    const call = filter as { args?: Statement[]; callee?: { value?: unknown } };
    if (call.args === undefined || !/^(indent|tojson)$/.test(String(call.callee?.value))) return;
    for (const argument of call.args) {
      const node = argument as { type: string; value?: Statement } | undefined;
      const value = this.evaluate(
        node?.type === "KeywordArgumentExpression" ? node.value : argument,
        environment,
      );
      if (value.type === "IntegerValue" && (value.value as number) > MAX_INDENT)
        throw new Error(`an indentation of more than ${MAX_INDENT}`);
    }
  }
}

/** Python's `range`. */
function boundedRange(first: number, second?: number, third?: number): number[] {
  const [start, stop] = second === undefined || second === null ? [0, first] : [first, second];
  const step = third ?? 1;
  if (![start, stop, step].every(Number.isSafeInteger) || step === 0)
    throw new Error("range() needs integers");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MAX_RANGE) throw new Error(`range() of more than ${MAX_RANGE} items`);
  return Array.from({ length }, (_, i) => start + i * step);
}
