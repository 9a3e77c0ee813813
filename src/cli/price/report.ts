/** What `fovea bench --profile` does: takes the profile of a model here, or of one behind an API, and tells of it. */
import { FoveaError } from "../../base/errors.ts";
import type { LanguageModel } from "../../tasks/types.ts";
import { type CommandContext, UsageError } from "../command.ts";
import { print, printJson } from "../io.ts";
import { progress } from "../progress.ts";
import { table } from "../show.ts";
import { type Profile, takeProfile } from "./profile.ts";
import { REPEATS, refuseNoise } from "./rounds.ts";
import { keyOf, saveProfile } from "./store.ts";
import { timeEndpoint, timeModel } from "./time.ts";

interface Flags {
  readonly profile?: boolean;
  readonly url?: string;
  readonly model?: string;
  readonly runs?: number;
  readonly promptTokens?: number;
  readonly genTokens?: number;
  readonly noisy?: boolean;
  readonly json?: boolean;
}

/** @param model the one that is to be timed, unless `flags.url` names an API */
export async function profileOf(flags: Flags, { io }: CommandContext, model?: LanguageModel): Promise<void> {
  if (!flags.profile) throw new UsageError("--url is for --profile");
  const { context, time } = model
    ? { context: model.contextLength, time: timeModel(model, io.signal) }
    : await endpoint(flags, io.signal);
  const bar = progress(io.stderr, "timing", (requests) => requests.toFixed(0));
  const { runs: repeats = REPEATS, promptTokens: prompt, genTokens: output } = flags;
  if (repeats < 2) throw new UsageError("--profile takes the least of --runs times: give at least 2");
  const profile = await takeProfile({
    ...{ context, time, repeats, longest: { prompt, output }, onProgress: bar.update },
  }).finally(bar.end);
  if (!flags.noisy) refuseNoise(profile.noise);
  // What is behind an API may be anything: its profile is told, and not kept for prices here.
  const file = model && saveProfile(keyOf(model), profile);
  if (flags.json) return printJson(io.stdout, { file: file ?? null, ...profile });
  return print(io.stdout, text(profile, file));
}

async function endpoint({ url: base = "", model }: Flags, signal: AbortSignal) {
  const apiKey = process.env.OPENAI_API_KEY || undefined;
  const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const answer = await fetch(`${base}/models`, { headers, signal }).catch((error: Error) => {
    const { cause, message } = error;
    const why = cause instanceof Error ? cause.message : message;
    throw new FoveaError(`${base}/models cannot be reached: ${why}; is --url right?`);
  });
  const list = (await answer.json().catch(() => undefined)) as
    | { data?: { id: string; context_length?: number; max_model_len?: number }[] }
    | undefined;
  const found = list?.data?.find(({ id }) => model === undefined || id === model);
  if (!found) throw new FoveaError(`${base}/models does not name ${model ?? "a model"}`);
  const context = found.context_length ?? found.max_model_len ?? 2048;
  // Ids below this are ordinary tokens of every vocabulary.
  return { context, time: timeEndpoint({ url: base, model: found.id, vocabulary: 256, apiKey }, signal) };
}

function text({ model, repeats, noise, seconds }: Profile, file: string | undefined): string {
  const { firstToken, extended, linear } = model;
  return [
    table([
      ["profile", `${firstToken.length} lengths, ${repeats} times each`, `${seconds.toFixed(0)} s`],
      ["noise", `${(100 * noise).toFixed(1)} %`, "from the least time of a request to the next"],
      [
        "a token",
        `${extended.perToken.toFixed(3)} ms + ${(1000 * extended.perContext).toFixed(3)} µs for each token before it`,
        `R² ${extended.r2.toFixed(4)}`,
      ],
      ["one slope", `${linear.perToken.toFixed(3)} ms`, `R² ${linear.r2.toFixed(4)}`],
    ]),
    table(
      [["prompt", "first token, ms"], ...firstToken.map(({ prompt, ms }) => [String(prompt), ms.toFixed(2)])],
      [0, 1],
    ),
    file === undefined ? "" : `kept in ${file}\n`,
  ].join("\n");
}
