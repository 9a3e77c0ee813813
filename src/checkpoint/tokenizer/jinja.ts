/**
 * The parts of the Jinja library that Fovea uses, with their types: those that the package declares do not
 * resolve under Node's module rules.
 */
import * as library from "@huggingface/jinja";

/** A node of the parsed template. */
export interface Statement {
  type: string;
  value?: unknown;
  filter?: unknown;
}

/** A value while a template runs; `value` is the JavaScript value or holds more of these. */
export interface RuntimeValue {
  type: string;
  value: unknown;
}

export interface Environment {
  set(name: string, value: unknown): RuntimeValue;
}

interface Interpreter {
  run(program: Statement): RuntimeValue;
  evaluate(statement: Statement | undefined, environment: Environment): RuntimeValue;
}

interface Jinja {
  Environment: new () => Environment;
  Interpreter: new (environment: Environment) => Interpreter;
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): unknown[];
  parse(tokens: unknown[]): Statement;
}

export const jinja = library as unknown as Jinja;
