/** `fovea load`: many clients at once against an OpenAI-compatible server, and what each had to wait for. */
import { readFile } from "node:fs/promises";
import { InvalidArgumentError, Option } from "commander";
import { FoveaError, ParameterError } from "../../base/errors.ts";
import { fileProblem } from "../../checkpoint/file.ts";
import { uniform } from "../../decode/random.ts";
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { address, integer, jsonFlag, positive, seconds } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { type Arrival, closedLoop, poisson } from "../load/arrivals.ts";
import { readPrompts } from "../load/prompts.ts";
import { reportOf, reportText } from "../load/report.ts";
import { type Outcome, sendRequest, type Target } from "../load/request.ts";
import { progress } from "../progress.ts";

interface Flags {
  readonly url: string;
  readonly prompts: string;
  readonly model?: string;
  readonly clients: number;
  readonly rate?: number;
  readonly requests: number;
  readonly seconds?: number;
  readonly endpoint?: Target["endpoint"];
  readonly maxTokens: number;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly timeout: number;
  readonly seed: number;
  readonly json?: boolean;
}

export const load: AddCommand = (program, context) => {
  const command = program
    .command("load")
    .description("Send many requests at once to an OpenAI-compatible server, and time the answers.")
    .requiredOption("--url <url>", "base address of the API, such as http://127.0.0.1:8080/v1", address)
    .requiredOption("--prompts <file>", "a prompt in each line, or .jsonl with prompt, messages or turns")
    .option("-m, --model <name>", "model to ask for (default: the first that the server names)")
    .addOption(
      new Option("--clients <n>", "clients that each send a request after the other")
        .argParser(integer(1, 65536))
        .default(8)
        .conflicts("rate"),
    )
    .option("--rate <n>", "requests a second at random times (Poisson), in place of clients", positive)
    .option("--requests <n>", "requests in all; prompts are taken in turn", integer(1), 100)
    .option("--seconds <n>", "no request begins later than this", positive)
    .addOption(
      new Option(
        "--endpoint <name>",
        "what to ask for (default: chat, unless the server says that its model has no chat template)",
      ).choices(["chat", "completions"]),
    )
    .option("--max-tokens <n>", "tokens of each answer at most", integer(1), 128)
    .option("--body <json>", 'more fields for each body, such as {"temperature":0}', object)
    .option("--timeout <seconds>", "until a request is given up", seconds, 300)
    .option("--seed <n>", "of the random times", integer(0), 0);
  jsonFlag(command)
    .addHelpText(
      "after",
      `${examples(
        "load --url http://127.0.0.1:8080/v1 --prompts prompts.txt --clients 32",
        "load --url http://127.0.0.1:8080/v1 --prompts prompts.jsonl --rate 4 --seconds 60 --requests 1000 --json",
      )}
Environment:
  OPENAI_API_KEY  key that is sent, when set
`,
    )
    .action((flags: Flags) => run(flags, context));
};

function object(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {}
  throw new InvalidArgumentError("It must be a JSON object.");
}

async function run(flags: Flags, { io }: CommandContext): Promise<void> {
  const prompts = readPrompts(flags.prompts, await readText(flags.prompts));
  const apiKey = process.env.OPENAI_API_KEY || undefined;
  const { url: base } = flags;
  const first = flags.model === undefined ? await firstModel(base, apiKey, io.signal) : undefined;
  const model = flags.model ?? first!.id;
  const endpoint = flags.endpoint ?? (first?.chat === false ? "completions" : "chat");
  const target: Target = {
    base,
    endpoint,
    apiKey,
    body: { model, max_tokens: flags.maxTokens, ...flags.body },
    timeout: Math.ceil(flags.timeout * 1000),
  };
  const outcomes: Outcome[] = [];
  const bar = progress(io.stderr, "loading", (requests) => requests.toFixed(0));
  const send = async (arrival: Arrival): Promise<void> => {
    const prompt = prompts[arrival.index % prompts.length]!;
    outcomes.push(await sendRequest(target, prompt, arrival, io.signal));
    bar.update(outcomes.length, flags.requests);
  };
  const started = performance.now();
  const until = io.signal.aborted ? 0 : started + (flags.seconds ?? Infinity) * 1000;
  const { rate, clients, requests, seed } = flags;
  const random = (index: number): number => 1 - uniform(seed, index);
  await (rate === undefined
    ? closedLoop(clients, requests, until, send, io.signal)
    : poisson(rate, requests, until, random, send, io.signal)
  ).finally(bar.end);
  io.signal.throwIfAborted();
  const report = reportOf(outcomes, (performance.now() - started) / 1000, {
    url: base,
    model,
    endpoint,
    arrivals: rate === undefined ? { clients } : { rate },
  });
  await (flags.json ? printJson(io.stdout, report) : print(io.stdout, reportText(report)));
  if (report.answered === 0) throw new FoveaError("no request was answered");
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new ParameterError("--prompts", `${path}: ${fileProblem(error)}`);
  }
}

/** The first model that the server names; `chat` is what Fovea says beyond the standard. */
async function firstModel(
  base: string,
  apiKey: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly id: string; readonly chat?: unknown }> {
  const usual = base.endsWith("/v1") ? "" : " It usually ends in /v1.";
  const refused = (why: string): FoveaError =>
    new FoveaError(`${base}/models ${why}; is --url right?${usual} Or name the model with --model`);
  let response: Response;
  try {
    const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    response = await fetch(`${base}/models`, { headers, signal });
  } catch (error) {
    signal.throwIfAborted();
    const { cause, message } = error as Error;
    throw refused(`cannot be reached: ${cause instanceof Error ? cause.message : message}`);
  }
  if (!response.ok) throw refused(`answered ${response.status}`);
  const list = (await response.json().catch(() => undefined)) as
    | { data?: { id?: unknown; chat?: unknown }[] }
    | undefined;
  const { id, chat } = list?.data?.[0] ?? {};
  if (typeof id !== "string") throw refused("names no model");
  return { id, chat };
}
