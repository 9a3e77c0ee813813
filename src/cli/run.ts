/**
 * The command line as a function: arguments and streams in, exit code out. Knows the commands and how errors
 * are told; must not touch the process.
 *
 * Exit codes: 0 done; 1 refused or failed; 2 called wrongly; 130 interrupted.
 */
import { Command, CommanderError } from "commander";
import { FoveaError, ParameterError } from "../base/errors.ts";
import { version } from "../base/version.ts";
import { type AddCommand, UsageError } from "./command.ts";
import { bench } from "./commands/bench.ts";
import { chat } from "./commands/chat.ts";
import { generate } from "./commands/generate.ts";
import { inspect } from "./commands/inspect.ts";
import { load } from "./commands/load.ts";
import { plot } from "./commands/plot.ts";
import { price } from "./commands/price.ts";
import { pull } from "./commands/pull.ts";
import { quantize } from "./commands/quantize.ts";
import { score } from "./commands/score.ts";
import { serve } from "./commands/serve.ts";
import { tune } from "./commands/tune.ts";
import { type Io, OutputClosed, print } from "./io.ts";
import { services as realServices, type Services } from "./services.ts";

const commands: readonly AddCommand[] = [
  generate,
  chat,
  serve,
  score,
  bench,
  load,
  price,
  tune,
  inspect,
  quantize,
  pull,
  plot,
];

/** What commander says of a model or a text without its flag, or without quotes; and what helps. */
const noArguments = / Expected 0 arguments but got \d+\./;
const flagsOnly = " It takes flags alone, such as --model; a text of several words wants quotes.";

/** @param argv the arguments, without those of Node */
export async function run(
  argv: readonly string[],
  io: Io,
  services: Services = realServices,
): Promise<number> {
  const program = new Command("fovea")
    .description("Runs transformer models: text on the command line, over HTTP, and from TypeScript.")
    .version(version(), "-V, --version")
    .exitOverride()
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) =>
        write(text.replace(/^error: /, "fovea: ").replace(noArguments, flagsOnly)),
    })
    .showHelpAfterError("(fovea --help lists the commands)");
  for (const add of commands) add(program, { io, services });
  for (const command of program.commands)
    command.showHelpAfterError(`(fovea ${command.name()} --help lists its options)`);
  let ran: Command | undefined;
  program.hook("preAction", (_, command) => {
    ran = command;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    return await exitCode(error, io, ran);
  }
}

async function exitCode(error: unknown, io: Io, ran: Command | undefined): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof OutputClosed) return 0;
  if (io.signal.aborted) return 130;
  if (error instanceof UsageError) {
    await print(io.stderr, `fovea: ${error.message}\n`);
    return 2;
  }
  if (error instanceof FoveaError) await print(io.stderr, `fovea: ${told(error, ran)}\n`);
  else {
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    await print(io.stderr, `fovea: this is a bug of Fovea's\n${trace}\n`);
  }
  return 1;
}

/** A parameter that the library refuses is told under the flag that gave it, not under the library's name. */
function told(error: FoveaError, command: Command | undefined): string {
  if (!(error instanceof ParameterError)) return error.message;
  const { parameter, problem } = error;
  // A flag that may be repeated is named after one value, the option of the library after all.
  const flag = command?.options.find((option) =>
    [option.attributeName(), `${option.attributeName()}s`].includes(parameter),
  );
  const given = flag && command?.getOptionValueSource(flag.attributeName()) === "cli";
  return given ? `${flag.long}: ${problem}` : error.message;
}
