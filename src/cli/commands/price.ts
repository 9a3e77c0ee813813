/** `fovea price`: how long a request would take, from a profile that `fovea bench --profile` has taken. */
import { priceRequest } from "../../pricing/runtime.ts";
import { type AddCommand, type CommandContext, examples, UsageError } from "../command.ts";
import { integer, jsonFlag, type ModelFlags, modelFlags, positive } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { withModel } from "../open-model.ts";
import { checkPrices, type PriceErrors } from "../price/check.ts";
import { keyOf, loadProfile } from "../price/store.ts";
import { timeModel } from "../price/time.ts";
import { progress } from "../progress.ts";
import { showRate, table } from "../show.ts";

interface Flags extends ModelFlags {
  readonly random?: string;
  readonly promptTokens?: number;
  readonly genTokens?: number;
  readonly perHour?: number;
  readonly watts?: number;
  readonly check?: number;
  readonly runs: number;
  readonly seed: number;
  readonly json?: boolean;
}

/** Others that took more of the machine than this while a profile was taken have disturbed it. */
const QUIET = 0.1;

export const price: AddCommand = (program, context) => {
  const command = modelFlags(
    program
      .command("price")
      .description("Say how long a request would take here, from a profile (fovea bench --profile)."),
  )
    .option("--random <shape:format>", "random weights of a known shape, as fovea bench has them")
    .option("--prompt-tokens <n>", "length of the prompt", integer(1))
    .option("--gen-tokens <n>", "tokens to write after it", integer(1))
    .option("--per-hour <amount>", "what an hour of the machine costs, for the cost of the request", positive)
    .option("--watts <n>", "what the machine draws, for its energy", positive)
    .option(
      "--check <n>",
      "time this many random requests instead, and say how far the prices were off",
      integer(1),
    )
    .option("--runs <n>", "how often --check times each of them", integer(1), 3)
    .option("--seed <n>", "of the random requests", integer(0), 0);
  jsonFlag(command)
    .addHelpText(
      "after",
      examples(
        "bench --model ./model.gguf --profile",
        "price --model ./model.gguf --prompt-tokens 700 --gen-tokens 200",
        "price --model ./model.gguf --check 200",
      ),
    )
    .action((flags: Flags) => run(flags, context));
};

async function run(flags: Flags, context: CommandContext): Promise<void> {
  const { promptTokens: prompt, genTokens: output, check } = flags;
  if (check === undefined && (prompt === undefined || output === undefined))
    throw new UsageError("price needs --prompt-tokens and --gen-tokens, or --check");
  if (check !== undefined && (prompt !== undefined || output !== undefined))
    throw new UsageError("--check draws its own lengths; leave out --prompt-tokens and --gen-tokens");
  const { io, services } = context;
  const { random } = flags;
  const opening: CommandContext =
    random === undefined
      ? context
      : { io, services: { ...services, open: (_, options) => services.openRandom(random, options) } };
  const named = random === undefined ? flags : { ...flags, model: random };
  await withModel(opening, named, async (model) => {
    const key = keyOf(model);
    const { profile, taken } = loadProfile(key);
    if (check !== undefined) {
      const bar = progress(io.stderr, "checking", (requests) => requests.toFixed(0));
      const time = timeModel(model, io.signal);
      await time(8, [2]); // warms up
      const found = await checkPrices({
        ...{ profile, time, requests: check, repeats: flags.runs, limit: model.contextLength },
        ...{ seed: flags.seed, onProgress: bar.update },
      }).finally(bar.end);
      const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
      const row = (name: string, { medianError, p95Error, meanError }: PriceErrors): string[] => [
        ...[name, percent(medianError)],
        `median; 95 % are within ${percent(p95Error)}; mean ${percent(meanError)}, above 0 where requests took longer`,
      ];
      const text = table([
        ["requests", String(found.requests), `${found.repeats} times each, of random lengths`],
        row("error", found.idealized),
        row("at best", found.denoised),
      ]);
      return flags.json ? printJson(io.stdout, { key, ...found }) : print(io.stdout, text);
    }
    const idealized = priceRequest(profile.idealized, prompt!, output!);
    const denoised = priceRequest(profile.denoised, prompt!, output!);
    const hours = idealized.totalMs / 3_600_000;
    const report = {
      key,
      taken,
      others: profile.others ?? null,
      prompt_tokens: prompt,
      gen_tokens: output,
      idealized_ms: idealized.totalMs,
      first_token_ms: idealized.firstTokenMs,
      denoised_ms: denoised.totalMs,
      extrapolated: idealized.extrapolated,
      ...(flags.perHour === undefined ? {} : { cost: hours * flags.perHour }),
      ...(flags.watts === undefined ? {} : { watt_hours: hours * flags.watts }),
    };
    if (flags.json) return printJson(io.stdout, report);
    const { perToken, perContext } = profile.idealized.extended;
    const rate = 1000 / (perToken + perContext * (prompt! + output! / 2));
    const rows = [
      ["model", key.model, key.device],
      ["request", `${prompt} + ${output} tokens`, `on ${key.cpu}, Fovea ${key.fovea}`],
      ["first token", `${idealized.firstTokenMs.toFixed(1)} ms`, ""],
      [
        "total",
        `${idealized.totalMs.toFixed(1)} ms`,
        `then ${showRate(rate)} tokens/s; at best ${denoised.totalMs.toFixed(1)} ms`,
      ],
      ...(report.cost === undefined ? [] : [["cost", report.cost.toPrecision(3), ""]]),
      ...(report.watt_hours === undefined ? [] : [["energy", `${report.watt_hours.toPrecision(3)} Wh`, ""]]),
    ];
    const doubts = [
      idealized.extrapolated ? "The prompt is longer or shorter than all that were timed.\n" : "",
      (profile.others ?? 0) > QUIET
        ? `Others took ${(100 * profile.others!).toFixed(0)} % of the machine while the profile was taken: "at best" is nearer to what it can do.\n`
        : "",
    ];
    return print(io.stdout, table(rows) + doubts.join(""));
  });
}
