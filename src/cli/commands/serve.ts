/** `fovea serve`: the server and its page. */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { InvalidArgumentError, Option } from "commander";
import type { LanguageModel } from "../../tasks/types.ts";
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { collect, integer, jsonFlag, type ModelFlags, modelFlags, seconds } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { withModel } from "../open-model.ts";
import { showBytes, showCount } from "../show.ts";

/** Tokens that a cache must hold to be of any use: a prompt of some sentences, and an answer. */
const LEAST_CACHE = 256;
/** What answers get to go out, once the work is ended. */
const cutMs = 500;

interface Flags extends ModelFlags {
  readonly host: string;
  readonly port: number;
  readonly apiKey?: readonly string[];
  readonly origin?: readonly string[];
  readonly maxRequests: number;
  readonly maxBody: number;
  readonly timeout: number;
  readonly drain: number;
  readonly logLevel: string;
  readonly logFile?: string;
  readonly json?: boolean;
}

/** Where the build puts the page, from src/cli/commands and from dist/cli/commands alike. */
const page = new URL("../../../dist/web", import.meta.url);

export const serve: AddCommand = (program, context) => {
  const command = program
    .command("serve")
    .description("Serve a model to clients of OpenAI, Anthropic and Ollama, and a page to try it.")
    .option(
      "--host <address>",
      "address to listen on; 0.0.0.0 serves the network: ask for a key then",
      "127.0.0.1",
    )
    .option("--port <n>", "port to listen on; 0 takes a free one", integer(0, 65535), 8080)
    .option("--api-key <key>", "ask for this key; may be given several times (or FOVEA_API_KEY)", apiKey)
    .option("--origin <origin>", "let pages of this origin use the API; may be given several times", origin)
    .option("--sequences <n>", "sequences that run at once (default: 32)", integer(1, 511))
    .option(
      "--cache-tokens <n>",
      "tokens that the cache may hold (default: 32 contexts or 1 GiB, whichever is less)",
      integer(LEAST_CACHE),
    )
    .option("--max-requests <n>", "requests that run or wait; one more gets 429", integer(1), 1024)
    .option("--max-body <bytes>", "largest request body", integer(1), 4 * 1024 * 1024)
    .option("--timeout <seconds>", "how long a request may take", seconds, 600)
    .option("--drain <seconds>", "how long running requests get when the server is to stop", seconds, 20)
    .addOption(
      new Option("--log-level <level>", "least level that is logged, as JSON lines on stderr")
        .choices(["silent", "error", "warn", "info", "debug"])
        .default("warn"),
    )
    .option("--log-file <file>", "log to this file instead");
  jsonFlag(modelFlags(command))
    .addHelpText(
      "after",
      examples(
        "serve",
        "serve --model ./model.gguf --port 8000",
        "serve --model Qwen/Qwen2.5-0.5B-Instruct --host 0.0.0.0 --api-key secret --log-level info",
      ),
    )
    .action((flags: Flags) => run(flags, context));
};

/** An empty one, as from a variable that is not set, would be sent by anybody. */
function apiKey(text: string, before?: readonly string[]): string[] {
  if (text === "") throw new InvalidArgumentError("It is empty; leave the flag out to ask for no key.");
  return collect(text, before);
}

/** As browsers send it: lower case, nothing behind host and port. Pages without an origin send `null`. */
function origin(text: string, before?: readonly string[]): string[] {
  if (!/^(\*|null|[a-z][a-z0-9+.-]*:\/\/[^/\sA-Z]+)$/.test(text))
    throw new InvalidArgumentError("It must be scheme and host, such as https://example.org, or * for any.");
  return collect(text, before);
}

async function run(flags: Flags, context: CommandContext): Promise<void> {
  const { io, services } = context;
  const [
    { createApp },
    { listen },
    { loadAssets },
    { isLoopback },
    { Gate },
    { createLog },
    { createMetrics },
  ] = await Promise.all([
    import("../../serve/app.ts"),
    import("../../serve/listen.ts"),
    import("../../serve/assets.ts"),
    import("../../serve/loopback.ts"),
    import("../../serve/gate.ts"),
    import("../../serve/log.ts"),
    import("../../serve/metrics.ts"),
  ]);
  const gate = new Gate(flags.maxRequests);
  const log = createLog(flags.logLevel, flags.logFile, io.stderr);
  // In a process of its own, so that the server answers whatever the model does, and outlives it.
  const hosting: CommandContext = {
    io,
    services: {
      ...services,
      open: (path, options) => services.host(path, options, (error) => log.error(error)),
    },
  };
  await withModel(hosting, flags, async (model) => {
    const shutdown = new AbortController();
    const app = createApp(model, {
      assets: loadAssets(fileURLToPath(page)),
      loopback: isLoopback(flags.host),
      keys: flags.apiKey ?? process.env.FOVEA_API_KEY?.split(",").filter((key) => key !== "") ?? [],
      origins: flags.origin ?? [],
      gate,
      maxBody: flags.maxBody,
      timeout: flags.timeout * 1000,
      shutdown: shutdown.signal,
      metrics: createMetrics(),
      onRequest: (report) => log.info(report, "request"),
      onError: (error) => log.error(error),
    });
    const server = await listen(app, flags);
    if (flags.json)
      await printJson(io.stdout, {
        url: server.url,
        host: server.host,
        port: server.port,
        model: model.name,
      });
    else await print(io.stdout, banner(model, server.url));
    if (!io.signal.aborted)
      await new Promise((resolve) => io.signal.addEventListener("abort", resolve, { once: true }));
    // New requests are still answered, with 503, while running ones come to their end.
    const late = new AbortController();
    await Promise.race([gate.drain(), sleep(flags.drain * 1000, undefined, { signal: late.signal })]);
    late.abort();
    // The work is ended a little before the connections are cut, so that clients are told.
    shutdown.abort();
    await server.close(cutMs);
  });
}

function banner(model: LanguageModel, url: string): string {
  const { architecture, device, parameters, formats, weightsBytes } = model.describe();
  const facts = [
    `${architecture}, ${showCount(parameters)} parameters`,
    `${Object.keys(formats).join(" + ")}, ${showBytes(weightsBytes)}`,
    device,
  ];
  return `
  fovea serves ${model.name}
  ${facts.join(" · ")}

  page    ${url}
  API     ${url}/v1

  Ctrl-C stops it.

`;
}
