/** `fovea chat`: a conversation in the terminal. */
import { createInterface } from "node:readline";
import { FoveaError } from "../../base/errors.ts";
import type { ChatMessage, GenerateOptions, Generation, LanguageModel } from "../../tasks/types.ts";
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { type ModelFlags, modelFlags } from "../flags.ts";
import { type Io, print } from "../io.ts";
import { withModel } from "../open-model.ts";
import { generateOptions, type SamplingFlags, samplingFlags } from "../sampling-flags.ts";

interface Flags extends ModelFlags, SamplingFlags {
  readonly system?: string;
}

const help = `/help           this list
/reset          begin anew
/system TEXT    set what the model is told first, and begin anew
/quit           end (so does Ctrl-D; Ctrl-C stops an answer)
`;

export const chat: AddCommand = (program, context) => {
  const command = program
    .command("chat")
    .description("Talk with a model. One without a chat template continues the text instead.")
    .option("--system <text>", "what the model is told first");
  samplingFlags(modelFlags(command), "tokens of an answer at most (default: what fits the context)")
    .addHelpText(
      "after",
      `${examples(
        "chat --model HuggingFaceTB/SmolLM2-135M-Instruct",
        'chat --model ./model.gguf --system "Answer in one sentence." --temperature 0.7',
      )}\nIn the conversation:\n${help.replace(/^/gm, "  ").trimEnd()}\n`,
    )
    .action((flags: Flags) => run(flags, context));
};

async function run(flags: Flags, context: CommandContext): Promise<void> {
  const options = await generateOptions(flags);
  // Each answer has its own seed; the flag, where given, sets the first.
  await withModel(context, flags, async (model) => {
    const conversation = model.chats
      ? new ChatConversation(model, flags.system)
      : new TextConversation(model, flags.system);
    await talk(model, conversation, options, context.io);
  });
  context.io.signal.throwIfAborted();
}

/** What has been said so far, and how it goes on. */
interface Conversation {
  readonly greeting: string;
  /** Begins anew, with another system text when one is given. */
  reset(system?: string): void;
  ask(text: string, options: GenerateOptions): Generation;
  answered(text: string): void;
  /** The last question was not answered: it is taken back. */
  failed(): void;
}

class ChatConversation implements Conversation {
  readonly greeting: string;
  readonly #model: LanguageModel;
  #messages: ChatMessage[] = [];
  #system: string | undefined;

  constructor(model: LanguageModel, system: string | undefined) {
    this.#model = model;
    this.greeting = `${model.name}. /help lists the commands.`;
    this.reset(system);
  }

  reset(system = this.#system): void {
    this.#system = system;
    this.#messages = system ? [{ role: "system", content: system }] : [];
  }

  ask(text: string, options: GenerateOptions): Generation {
    this.#messages.push({ role: "user", content: text });
    return this.#model.chat(this.#messages, options);
  }

  answered(text: string): void {
    this.#messages.push({ role: "assistant", content: text });
  }

  failed(): void {
    this.#messages.pop();
  }
}

class TextConversation implements Conversation {
  readonly greeting: string;
  readonly #model: LanguageModel;
  #text = "";
  #before = "";
  #system: string | undefined;

  constructor(model: LanguageModel, system: string | undefined) {
    this.#model = model;
    this.greeting =
      `${model.name} has no chat template, so it continues what you write. Try: Once upon a time\n` +
      "/help lists the commands.";
    this.reset(system);
  }

  reset(system = this.#system): void {
    this.#system = system;
    this.#text = system ?? "";
  }

  ask(text: string, options: GenerateOptions): Generation {
    this.#before = this.#text;
    this.#text += text;
    return this.#model.generate(this.#text, options);
  }

  answered(text: string): void {
    this.#text += text;
  }

  failed(): void {
    this.#text = this.#before;
  }
}

async function talk(
  model: LanguageModel,
  conversation: Conversation,
  options: GenerateOptions & { readonly seed: number },
  io: Io,
): Promise<void> {
  const terminal = io.stdin.isTTY === true && io.stdout.isTTY === true;
  // Before anything is read: a line that comes while nobody iterates is lost.
  if (terminal) await print(io.stdout, `${conversation.greeting}\n\n`);
  else if (!model.chats) await print(io.stderr, `${conversation.greeting}\n`);
  const lines = createInterface({
    input: io.stdin,
    ...(terminal ? { output: io.stdout, terminal } : {}),
    prompt: "> ",
  });
  const prompt = () => {
    if (terminal) lines.prompt();
  };
  let answer: AbortController | undefined;
  // A terminal in raw mode gives Ctrl-C to readline, not to the process.
  lines.on("SIGINT", () => (answer === undefined ? lines.close() : answer.abort()));
  const stop = () => lines.close();
  io.signal.addEventListener("abort", stop, { once: true });
  try {
    prompt();
    let turn = 0;
    for await (const line of lines) {
      if (line.startsWith("/")) {
        if (line.trim() === "/quit") break;
        await print(io.stdout, command(line, conversation));
      } else if (line.trim() !== "") {
        answer = new AbortController();
        const signal = AbortSignal.any([answer.signal, io.signal]);
        await reply(conversation, line, { ...options, seed: options.seed + turn, signal }, io);
        answer = undefined;
        turn++;
      }
      if (io.signal.aborted) break;
      prompt();
    }
    if (terminal) await print(io.stdout, "\n");
  } finally {
    io.signal.removeEventListener("abort", stop);
    lines.close();
  }
}

/** Runs a command of the conversation and gives what to print. */
function command(line: string, conversation: Conversation): string {
  const [, name, rest] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  switch (name) {
    case "/help":
      return help;
    case "/reset":
      conversation.reset();
      return "Begun anew.\n";
    case "/system":
      if (rest === "") return "Say what the model is told first: /system TEXT\n";
      conversation.reset(rest);
      return "Set, and begun anew.\n";
    default:
      return `There is no ${name}; /help lists the commands.\n`;
  }
}

async function reply(
  conversation: Conversation,
  text: string,
  options: GenerateOptions,
  io: Io,
): Promise<void> {
  try {
    const generation = conversation.ask(text, options);
    for await (const piece of generation) await print(io.stdout, piece);
    const result = await generation.result();
    conversation.answered(result.text);
    const why = { stop: "", length: " [the length is used up]", abort: " [stopped]" }[result.finishReason];
    await print(io.stdout, `${why}\n\n`);
  } catch (error) {
    if (!(error instanceof FoveaError)) throw error;
    // A question that is refused, for instance because the context is full, does not end the conversation.
    conversation.failed();
    await print(io.stderr, `fovea: ${error.message} (/reset begins anew)\n`);
  }
}
