/** `fovea serve`: the OpenAI-compatible server and its page. */
import { setMaxListeners } from "node:events";
import { fileURLToPath } from "node:url";
import type { LanguageModel } from "../../tasks/types.ts";
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { integer, jsonFlag, type ModelFlags, modelFlags } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { withModel } from "../open-model.ts";
import { showBytes, showCount } from "../show.ts";

interface Flags extends ModelFlags {
  readonly host: string;
  readonly port: number;
  readonly json?: boolean;
}

/** What running requests get to finish after the first Ctrl-C. */
const graceMs = 5000;

/** Where the build puts the page, from src/cli/commands and from dist/cli/commands alike. */
const page = new URL("../../../dist/web", import.meta.url);

export const serve: AddCommand = (program, context) => {
  const command = program
    .command("serve")
    .description("Serve a model to OpenAI clients, and a page to try it.")
    .option(
      "--host <address>",
      "address to listen on; 0.0.0.0 serves the network, without any login",
      "127.0.0.1",
    )
    .option("--port <n>", "port to listen on; 0 takes a free one", integer(0, 65535), 8080);
  jsonFlag(modelFlags(command))
    .addHelpText(
      "after",
      examples(
        "serve",
        "serve --model ./model.gguf --port 8000",
        "serve --model Qwen/Qwen2.5-0.5B-Instruct --host 0.0.0.0",
      ),
    )
    .action((flags: Flags) => run(flags, context));
};

async function run(flags: Flags, context: CommandContext): Promise<void> {
  const { io } = context;
  const [{ createApp }, { listen }, { loadAssets }, { isLoopback }] = await Promise.all([
    import("../../serve/app.ts"),
    import("../../serve/listen.ts"),
    import("../../serve/assets.ts"),
    import("../../serve/loopback.ts"),
  ]);
  await withModel(context, flags, async (model) => {
    const shutdown = new AbortController();
    // Every request under way listens to it; Node would take more than ten for a leak.
    setMaxListeners(0, shutdown.signal);
    const app = createApp(model, {
      assets: loadAssets(fileURLToPath(page)),
      loopback: isLoopback(flags.host),
      shutdown: shutdown.signal,
      onError: (error) => io.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`),
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
    // The work is ended a little before the connections are cut, so that clients are told.
    const end = setTimeout(() => shutdown.abort(), graceMs);
    await server.close(graceMs + 500);
    clearTimeout(end);
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
