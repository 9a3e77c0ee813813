/** What an answer consists of, as it is written: thoughts, text and calls of tools. */
import { type ReasoningMarks, ReasoningParser } from "./reasoning.ts";
import type { ToolDefinition, ToolDialect } from "./tools/dialect.ts";
import { type ToolEvent, ToolParser } from "./tools/parser.ts";

export type AnswerEvent = ToolEvent | { readonly kind: "reasoning"; readonly text: string };

export interface AnswerForm {
  readonly reasoning?: { readonly marks: ReasoningMarks; readonly opened: boolean } | undefined;
  readonly tools?:
    | {
        readonly dialect: ToolDialect;
        readonly definitions: readonly ToolDefinition[];
        /** Whether an answer has one call at most. */
        readonly single: boolean;
      }
    | undefined;
}

export class AnswerParser {
  readonly #reasoning: ReasoningParser | undefined;
  readonly #tools: ToolParser | undefined;

  constructor({ reasoning, tools }: AnswerForm) {
    this.#reasoning = reasoning && new ReasoningParser(reasoning.marks, reasoning.opened);
    this.#tools = tools && new ToolParser(tools.dialect, tools.definitions, tools.single);
  }

  get calls(): number {
    return this.#tools?.calls ?? 0;
  }

  push(text: string): AnswerEvent[] {
    if (text === "") return [];
    if (this.#reasoning === undefined) return this.#answer(text);
    return this.#reasoning
      .push(text)
      .flatMap((piece) => (piece.kind === "text" ? this.#answer(piece.text) : [piece]));
  }

  flush(): AnswerEvent[] {
    const last = (this.#reasoning?.flush() ?? []).flatMap((piece) =>
      piece.kind === "text" ? this.#answer(piece.text) : [piece],
    );
    return [...last, ...(this.#tools?.flush() ?? [])];
  }

  #answer(text: string): AnswerEvent[] {
    return this.#tools?.push(text) ?? [{ kind: "text", text }];
  }
}

export interface Answer {
  readonly reasoning: string;
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly id?: string; readonly arguments: string }[];
}

/** A whole answer. */
export function readAnswer(form: AnswerForm, whole: string): Answer {
  const parser = new AnswerParser(form);
  const texts = { reasoning: "", text: "" };
  const calls: { name: string; id?: string; arguments: string }[] = [];
  for (const event of [...parser.push(whole), ...parser.flush()]) {
    if (event.kind === "call") {
      const { name, id } = event;
      calls.push({ name, ...(id === undefined ? {} : { id }), arguments: "" });
    } else if (event.kind === "arguments") calls[event.index]!.arguments += event.text;
    else texts[event.kind] += event.text;
  }
  return { ...texts, calls };
}
