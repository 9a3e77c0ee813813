/**
 * `tools`, `tool_choice` and `parallel_tool_calls` of a chat request, and calls in answers and streams. Knows the
 * forms of the OpenAI API; how a model writes calls is known below.
 */
import type { Grammar } from "../decode/grammar/index.ts";
import { callGrammar, dialectOf, type ToolDefinition, type ToolDialect } from "../decode/tools/dialect.ts";
import { type ToolEvent, ToolParser } from "../decode/tools/parser.ts";
import type { FinishReason } from "../tasks/types.ts";
import { newId } from "./context.ts";
import { invalid } from "./errors.ts";
import { Fields, shown } from "./fields.ts";

export interface Tools {
  readonly dialect: ToolDialect;
  readonly names: readonly string[];
  /** For the template. */
  readonly shown: readonly unknown[];
  /** Calls and nothing else. */
  readonly calls: Grammar;
  /** Whether the answer must be one of these. */
  readonly demanded: boolean;
}

/** @param template the checkpoint's chat template, which decides about the dialect */
export function readTools(fields: Fields, template: string): Tools | undefined {
  const list = fields.take("tools");
  const choice = fields.take("tool_choice");
  const parallel = fields.boolean("parallel_tool_calls") ?? true;
  if (list === undefined || (Array.isArray(list) && list.length === 0)) {
    if (choice !== undefined && choice !== "none" && choice !== "auto")
      throw invalid("tool_choice", "needs tools");
    return undefined;
  }
  if (!Array.isArray(list)) throw invalid("tools", "must be a list");
  const definitions = list.map(definitionOf);
  const names = definitions.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw invalid("tools", `${shown(twice)} is there twice`);
  const demanded = demandedOf(choice, definitions);
  if (choice === "none") return undefined;
  const dialect = dialectOf(template);
  if (dialect === undefined) throw invalid("tools", "the chat template of this model knows no tools");
  const many = parallel && typeof (choice ?? "auto") === "string";
  const calls = callGrammar(dialect, demanded ?? definitions, { parallel: many });
  return { dialect, names, shown: list, calls, demanded: demanded !== undefined };
}

function definitionOf(item: unknown, i: number): ToolDefinition {
  const tool = new Fields(item, `tools[${i}]`);
  if (tool.string("type") !== "function") throw invalid(tool.name("type"), 'must be "function"');
  const made = tool.object("function");
  const name = made?.string("name");
  if (made === undefined || name === undefined || !/^[a-zA-Z0-9_.-]{1,64}$/.test(name))
    throw invalid(
      tool.name("function.name"),
      "must be 1 to 64 letters, digits, underscores, points and hyphens",
    );
  made.string("description");
  made.boolean("strict"); // a demanded call always keeps to its schema
  const parameters = made.take("parameters") ?? { type: "object" };
  made.done();
  tool.done();
  return { name, parameters };
}

/** The tools of which one must be called; undefined where the model decides. */
function demandedOf(
  choice: unknown,
  definitions: readonly ToolDefinition[],
): readonly ToolDefinition[] | undefined {
  if (choice === undefined || choice === "auto" || choice === "none") return undefined;
  if (choice === "required") return definitions;
  if (typeof choice === "string")
    throw invalid("tool_choice", `must be none, auto, required or a function, not ${shown(choice)}`);
  const fields = new Fields(choice, "tool_choice");
  if (fields.string("type") !== "function") throw invalid("tool_choice.type", 'must be "function"');
  const name = fields.object("function")?.string("name");
  fields.done();
  const found = definitions.find((definition) => definition.name === name);
  if (found === undefined)
    throw invalid("tool_choice.function.name", `${shown(name ?? null)} is none of the tools`);
  return [found];
}

interface ToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; arguments: string };
}

/** The message of an answer: its text, and its calls where there are any. */
export function answerOf(
  tools: Tools | undefined,
  text: string,
): { content: string | null; tool_calls?: readonly ToolCall[] } {
  if (tools === undefined) return { content: text };
  const parser = new ToolParser(tools.dialect, tools.names);
  let content = "";
  const calls: ToolCall[] = [];
  for (const event of [...parser.push(text), ...parser.flush()]) {
    if (event.kind === "text") content += event.text;
    else if (event.kind === "call")
      calls.push({ id: newId("call"), type: "function", function: { name: event.name, arguments: "" } });
    else calls[event.index]!.function.arguments += event.text;
  }
  if (calls.length === 0) return { content };
  return { content: content === "" ? null : content, tool_calls: calls };
}

/** A call that was cut off is told as cut off. */
export const finishOf = (reason: FinishReason, called: boolean): string =>
  called && reason === "stop" ? "tool_calls" : reason;

/** The deltas of one choice of a stream. */
export class ToolStream {
  readonly #parser: ToolParser;

  constructor({ dialect, names }: Tools) {
    this.#parser = new ToolParser(dialect, names);
  }

  get calls(): number {
    return this.#parser.calls;
  }

  push(text: string): object[] {
    return this.#parser.push(text).map(delta);
  }

  flush(): object[] {
    return this.#parser.flush().map(delta);
  }
}

function delta(event: ToolEvent): object {
  if (event.kind === "text") return { content: event.text };
  const { index } = event;
  const made =
    event.kind === "call"
      ? { index, id: newId("call"), type: "function", function: { name: event.name, arguments: "" } }
      : { index, function: { arguments: event.text } };
  return { tool_calls: [made] };
}
