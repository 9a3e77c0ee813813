/** `fovea price`: how long a request would take, from a profile that `fovea bench --profile` has taken. */
import { priceRequest } from "../../pricing/runtime.ts";
import { type AddCommand, type CommandContext, examples, UsageError } from "../command.ts";
import { integer, jsonFlag, type ModelFlags, modelFlags, positive } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { withModel } from "../open-model.ts";
import { checkPrices } from "../price/check.ts";
import { isNoisy, REPEATS, refuseNoise } from "../price/rounds.ts";
import { keyOf, loadProfile } from "../price/store.ts";
import { timeModel } from "../price/time.ts";
import { progress } from "../progress.ts";
import { showRate, table } from "../show.ts";

interface Flags extends ModelFlags {
  readonly promptTokens?: number;
  readonly genTokens?: number;
  readonly perHour?: number;
  readonly watts?: number;
  readonly check?: number;
  readonly runs: number;
  readonly noisy?: boolean;
  readonly seed: number;
  readonly json?: boolean;
}

export const price: AddCommand = (program, context) => {
  const command = modelFlags(
    program
      .command("price")
      .description("Say how long a request would take here, from a profile (fovea bench --profile)."),
  )
    .option("--random <shape:format>", "random weights of a known shape, as fovea bench has them")
    .option("--prompt-tokens <n>", "length of the prompt; with --check, at most", integer(1))
    .option("--gen-tokens <n>", "tokens to write after it; with --check, at most (128)", integer(1))
    .option("--per-hour <amount>", "what an hour of the machine costs, for the cost of the request", positive)
    .option("--watts <n>", "what the machine draws, for its energy", positive)
    .option(
      "--check <n>",
      "time this many random requests instead, and say how far the prices were off",
      integer(1),
    )
    .option("--runs <n>", "how often --check times each of them; the least counts", integer(2), REPEATS)
    .option("--noisy", "tell what --check finds even where the machine was too noisy")
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
  const { io } = context;
  await withModel(context, flags, async (model) => {
    const key = keyOf(model);
    const { profile, taken } = loadProfile(key);
    if (check !== undefined) {
      const bar = progress(io.stderr, "checking", (requests) => requests.toFixed(0));
      const found = await checkPrices({
        ...{ model: profile.model, time: timeModel(model, io.signal), requests: check, repeats: flags.runs },
        ...{ limit: model.contextLength, longest: { prompt, output }, seed: flags.seed },
        onProgress: bar.update,
      }).finally(bar.end);
      if (!flags.noisy) refuseNoise(found.noise);
      const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
      const text = table([
        ["requests", String(found.requests), `of random lengths, the least of ${found.repeats} times each`],
        ["error", percent(found.medianError), `median; 95 % are within ${percent(found.p95Error)}`],
        ["mean", percent(found.meanError), "above 0 where requests took longer"],
        ["noise", percent(found.noise), "from the least time of a request to the next"],
      ]);
      return flags.json ? printJson(io.stdout, { key, ...found }) : print(io.stdout, text);
    }
    const { totalMs, firstTokenMs, extrapolated } = priceRequest(profile.model, prompt!, output!);
    const hours = totalMs / 3_600_000;
    const report = {
      ...{ key, taken, noise: profile.noise, prompt_tokens: prompt, gen_tokens: output },
      ...{ idealized_ms: totalMs, first_token_ms: firstTokenMs, extrapolated },
      ...(flags.perHour === undefined ? {} : { cost: hours * flags.perHour }),
      ...(flags.watts === undefined ? {} : { watt_hours: hours * flags.watts }),
    };
    if (flags.json) return printJson(io.stdout, report);
    const { perToken, perContext } = profile.model.extended;
    const rate = 1000 / (perToken + perContext * (prompt! + output! / 2));
    const rows = [
      ["model", key.model, key.device],
      ["request", `${prompt} + ${output} tokens`, `on ${key.cpu}, Fovea ${key.fovea}`],
      ["first token", `${firstTokenMs.toFixed(1)} ms`, ""],
      ["total", `${totalMs.toFixed(1)} ms`, `then ${showRate(rate)} tokens/s`],
      ...(report.cost === undefined ? [] : [["cost", report.cost.toPrecision(3), ""]]),
      ...(report.watt_hours === undefined ? [] : [["energy", `${report.watt_hours.toPrecision(3)} Wh`, ""]]),
    ];
    const doubts = [
      extrapolated ? "The prompt is longer or shorter than all that were timed.\n" : "",
      isNoisy(profile.noise) ? "The machine was noisy while the profile was taken.\n" : "",
    ];
    return print(io.stdout, table(rows) + doubts.join(""));
  });
}
