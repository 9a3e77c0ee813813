/**
 * A chat as the model gets it: messages as its template takes them, tools, what the answer must be, and how it will be
 * read. Knows the checkpoint's template; must not know the dialects of the server.
 */
import { createHash } from "node:crypto";
import { ParameterError } from "../base/errors.ts";
import type { AnswerForm } from "../decode/answer.ts";
import type { Grammar } from "../decode/grammar/index.ts";
import {
  behindReasoning,
  opensReasoning,
  reasoningOf,
  reasoningSwitch,
  reasoningTokens,
} from "../decode/reasoning.ts";
import type { Mark, ToolDialect } from "../decode/tools/dialect.ts";
import { dialectOf, showsTools } from "../decode/tools/known.ts";
import type { ChatMessage, ChatOptions, LanguageModel } from "../tasks/types.ts";
import type { ServeContext } from "./context.ts";
import { ApiError, invalid } from "./errors.ts";
import { present } from "./parameters.ts";
import type { ToolRequest } from "./tools.ts";

export interface Talk {
  readonly messages: readonly ChatMessage[];
  readonly tools?: ToolRequest | undefined;
  /** What the answer must be, and the field that says so. */
  readonly format?: { readonly grammar: Grammar; readonly field: string } | undefined;
  /** Whether the model should think first, where its template lets one choose. */
  readonly think?: boolean | undefined;
  /** The field that says so. */
  readonly thinkField?: string;
  /** More names for the template. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export interface Plan {
  readonly options: Pick<ChatOptions, "tools" | "variables" | "grammar" | "showTokens">;
  readonly form: AnswerForm;
  readonly shortIds: boolean;
  /** The field that the grammar is of. */
  readonly grammarField: string;
  /** The ids that the answer follows. */
  prompt(): Promise<readonly number[]>;
  /** What to chat with: those ids where they were asked for, so that they are not made again. */
  asked(): readonly ChatMessage[] | readonly number[];
}

/** Refuses a model without a chat template. @param instead what needs none */
export function needTemplate({ chats, name }: LanguageModel, param: string, instead: string): void {
  if (chats) return;
  throw new ApiError(400, `${param}: "${name}" has no chat template; use ${instead}`, {
    param,
    code: "no_chat_template",
  });
}

export async function planTalk(context: ServeContext, talk: Talk): Promise<Plan> {
  const { model, tokenizer } = context;
  const { tools, format } = talk;
  const template = tokenizer.chatTemplate;
  const source = (tools ? template?.toolSource : template?.source) ?? "";
  const dialect = tools ? neededDialect(source) : knownDialect(source);
  if (format !== undefined && tools?.demanded)
    throw invalid(format.field, "cannot be kept where tool_choice asks for a call; leave one of them out");
  const variables = thinking(talk, source);
  const described =
    tools && dialect?.describe && !showsTools(source) ? dialect.describe(tools.shown) : undefined;
  const messages = forTemplate(
    dialect,
    described === undefined ? talk.messages : told(talk.messages, described),
  );
  const chat = present({ tools: tools?.shown, variables });
  let ids: readonly number[] | undefined;
  const prompt = async () => {
    ids ??= await model.chatPrompt(messages, chat);
    return ids;
  };
  const marks = reasoningOf(source);
  const reasoning = marks && { marks, opened: opensReasoning(marks, ending(context, await prompt())) };

  const special = (text: string): boolean => {
    const id = tokenizer.id(text);
    return id !== undefined && tokenizer.isSpecial(id);
  };
  const mark: Mark = (text) => (special(text) ? { token: text } : { text });
  const calls = (): Grammar => callsOf(dialect!, tools!, mark);
  // Where the model decides, it may answer in the format or call.
  const answer = tools?.demanded
    ? calls()
    : format && (tools ? { choice: [format.grammar, calls()] } : format.grammar);
  // Thoughts come first where the prompt has begun them or the client wants them; else the answer comes at once.
  const thinks = reasoning?.opened || variables?.[reasoningSwitch(source) ?? ""] === true;
  const grammar =
    answer && reasoning && thinks ? behindReasoning(reasoning.marks, reasoning.opened, answer, mark) : answer;
  const shown = [...(tools ? dialect!.marks : []), ...(marks ? reasoningTokens(marks) : [])].filter(special);
  return {
    options: { ...chat, ...present({ grammar, showTokens: shown.length > 0 ? shown : undefined }) },
    form: {
      reasoning,
      tools: tools && { dialect: dialect!, definitions: tools.definitions, single: !tools.parallel },
    },
    shortIds: dialect?.shortIds ?? false,
    grammarField: tools?.demanded ? "tools" : (format?.field ?? "tools"),
    prompt,
    asked: () => ids ?? messages,
  };
}

/** A form that cannot be held to the parameters' schema is a fault of the tools, whatever else the grammar is for. */
function callsOf(
  dialect: ToolDialect,
  { demanded, definitions, parallel }: ToolRequest,
  mark: Mark,
): Grammar {
  try {
    return dialect.grammar(demanded ?? definitions, parallel, mark);
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error;
    throw invalid("tools", error.problem);
  }
}

/** Runs what may find fault with the grammar, and names the field that it came from. */
export async function namingGrammar<T>(field: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ParameterError) || error.parameter !== "grammar") throw error;
    throw invalid(field, error.problem);
  }
}

function neededDialect(template: string): ToolDialect {
  const dialect = dialectOf(template);
  if (dialect === undefined) throw invalid("tools", "the chat template of this model knows no tools");
  return dialect;
}

/** For calls of earlier turns: those of a form that is not read here are given to the template as they are. */
function knownDialect(template: string): ToolDialect | undefined {
  try {
    return dialectOf(template);
  } catch {
    return undefined;
  }
}

export const takesTools = (template: string): boolean => knownDialect(template) !== undefined;

function thinking(
  { think, thinkField = "think", variables }: Talk,
  template: string,
): Readonly<Record<string, unknown>> | undefined {
  const name = reasoningSwitch(template);
  if (think === undefined) return variables;
  if (name !== undefined) return { [name]: think, ...variables };
  const thinks = reasoningOf(template) !== undefined;
  if (think === thinks) return variables;
  throw new ApiError(
    400,
    `${thinkField}: the model ${thinks ? "always thinks" : "does not think"}, as far as its chat template says`,
    { param: thinkField, code: "unsupported_value" },
  );
}

/** Tools that the template does not show are told to the model by the system. */
function told(messages: readonly ChatMessage[], text: string): readonly ChatMessage[] {
  const [first, ...rest] = messages;
  return first?.role === "system"
    ? [{ ...first, content: `${first.content}\n\n${text}` }, ...rest]
    : [{ role: "system", content: text }, ...messages];
}

interface PastCall {
  readonly id?: string;
  readonly type: string;
  readonly function: { readonly name: string; readonly arguments: unknown };
}

/** Calls and results of earlier turns as the dialect's templates take them. */
function forTemplate(
  dialect: ToolDialect | undefined,
  messages: readonly ChatMessage[],
): readonly ChatMessage[] {
  const names = new Map<unknown, string>();
  const idOf = (id: string): string => (dialect?.shortIds ? shortId(id) : id);
  return messages.map((message) => {
    if (message.role === "tool") {
      const { tool_call_id: id, name = names.get(id) } = message;
      return {
        ...message,
        ...present({ name, tool_call_id: typeof id === "string" ? idOf(id) : undefined }),
      };
    }
    const calls = message.tool_calls as readonly PastCall[] | undefined;
    if (calls === undefined) return message;
    for (const { id, function: made } of calls) names.set(id, made.name);
    const text = dialect?.argumentsAsText ?? false;
    return {
      ...message,
      content: text && message.content === "" ? null : message.content,
      tool_calls: calls.map(({ id, type, function: { name, arguments: given } }) => ({
        ...present({ id: id === undefined ? undefined : idOf(id) }),
        type,
        function: { name, arguments: text && typeof given !== "string" ? JSON.stringify(given) : given },
      })),
    };
  });
}

/** Nine letters and digits: what the id is, or what is made of it. */
const shortId = (id: string): string =>
  /^[a-zA-Z0-9]{9}$/.test(id) ? id : createHash("sha256").update(id).digest("hex").slice(0, 9);

/** The prompt's last tokens, marks included. */
const ending = ({ tokenizer }: ServeContext, ids: readonly number[]): string =>
  tokenizer.decode(ids.slice(-32), { skipSpecial: false });
