/**
 * A training from beginning to end, or to where it is told to stop: steps, log, progress, saves. It goes on where the
 * folder's state says, with the same bits as if it had never been cut off. Knows files and time; must not know what is
 * learned.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import { Log } from "./log.ts";
import { type Screen, showProgress } from "./progress.ts";
import type { Schedule } from "./schedule.ts";
import { loadState, saveState } from "./state.ts";
import type { Trainer } from "./trainer.ts";

/** What a state keeps beside tensors. Data order and randomness follow from the step and the seed. */
export interface Position {
  readonly step: number;
  readonly seconds: number;
  readonly logBytes: number;
  /** How many runs made steps: the first, and those that went on from a state. */
  readonly runs: number;
  /** Where the learning rate began to fall, and for how many steps. */
  readonly decay?: { readonly from: number; readonly steps: number } | undefined;
}

/** `identity` tells trainings apart that must not go on from each other's states. */
interface Saved extends Position {
  readonly identity: string;
}

export interface SessionOptions {
  readonly trainer: Trainer;
  /** Holds `state.safetensors` and `log.jsonl`. */
  readonly folder: string;
  /** Everything that decides what is computed: shapes, seeds, data. Plain data. */
  readonly identity: object;
  readonly tokensPerStep: number;
  /** Operations of a step, for the progress line: about 6 · parameters · tokens. */
  readonly operationsPerStep: number;
  /** May look at where the rate began to fall. */
  readonly schedule: (position: Position) => Schedule;
  /** The step after the last; it is asked for anew before each step. */
  readonly end: (position: Position) => number;
  /** Stop, with all saved, after this time. */
  readonly minutes?: number | undefined;
  /** Begin to lower the rate now, if it has not begun, over this share of the steps made so far. */
  readonly finish?: number | undefined;
  /** Steps between lines of the log. Default 10. */
  readonly logEvery?: number;
  /** Steps between saves. Default 200. */
  readonly saveEvery?: number;
  /** Steps between validations, and what they give: the loss, and other figures by name. */
  readonly validateEvery?: number;
  readonly validate?: () => Promise<Readonly<Record<string, number>> & { readonly loss: number }>;
  readonly screen?: Screen | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SessionResult extends Position {
  /** Whether the end was reached; otherwise time or the signal stopped it. */
  readonly done: boolean;
}

export async function train(options: SessionOptions): Promise<SessionResult> {
  const { trainer, folder, finish } = options;
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "state.safetensors");
  const identity = JSON.stringify(options.identity);
  const { device } = trainer.parameters;
  const tensors = trainer.optimizer.state();
  const saved = loadState<Saved>(path, device, tensors);
  if (saved && saved.identity !== identity)
    throw new CheckpointError(
      path,
      "was made with other settings or data; use those, or choose another folder",
    );
  await trainer.parameters.refresh();
  let position: Position = saved ?? { step: 0, seconds: 0, logBytes: 0, runs: 0 };
  const log = new Log(join(folder, "log.jsonl"), position.logBytes);
  if (finish !== undefined && !position.decay)
    position = {
      ...position,
      decay: { from: position.step, steps: Math.max(1, Math.ceil(finish * position.step)) },
    };
  const run = new Run(options, position, log);
  const save = (): Promise<void> =>
    saveState(path, device, tensors, { ...run.position(), identity } satisfies Saved);
  try {
    const { saveEvery = 200, validateEvery = Number.POSITIVE_INFINITY, validate } = options;
    while (!run.isDone() && !run.mustStop()) {
      await run.step();
      const { step } = run.position();
      const last = run.isDone();
      if (validate && (step % validateEvery === 0 || last)) await run.validate(validate);
      if (step % saveEvery !== 0 || last) continue;
      // What is not in the log would be missing from it after a cut.
      run.flushLog();
      await save();
    }
    run.flushLog();
    await save();
    return { ...run.position(), done: run.isDone() };
  } finally {
    options.screen?.end();
    log.close();
  }
}

/** What changes during a run. */
class Run {
  private readonly options: SessionOptions;
  private readonly log: Log;
  private readonly runsBefore: number;
  private readonly decay: Position["decay"];
  private readonly schedule: Schedule;
  private readonly started = performance.now();
  private readonly secondsBefore: number;
  /** Time that validations took. */
  private pause = 0;
  private made: number;
  private madeBefore: number;
  /** Since the last line of the log. */
  private sums = { steps: 0, loss: 0, norm: 0, since: 0 };

  constructor(options: SessionOptions, position: Position, log: Log) {
    this.options = options;
    this.log = log;
    this.runsBefore = position.runs;
    this.decay = position.decay;
    this.schedule = options.schedule(position);
    this.secondsBefore = position.seconds;
    this.made = position.step;
    this.madeBefore = position.step;
    this.sums.since = this.seconds();
  }

  private seconds(): number {
    return this.secondsBefore + (performance.now() - this.started - this.pause) / 1000;
  }

  position(): Position {
    const runs = this.runsBefore + (this.made > this.madeBefore ? 1 : 0);
    return {
      ...{ step: this.made, seconds: this.seconds(), logBytes: this.log.position, runs },
      ...(this.decay && { decay: this.decay }),
    };
  }

  isDone(): boolean {
    return this.made >= this.options.end(this.position());
  }

  mustStop(): boolean {
    const { minutes = Number.POSITIVE_INFINITY, signal } = this.options;
    return signal?.aborted === true || performance.now() - this.started >= minutes * 60_000;
  }

  async step(): Promise<void> {
    const { trainer, logEvery = 10 } = this.options;
    const rate = this.schedule(this.made);
    const { loss, norm } = await trainer.step(this.made, rate);
    if (!Number.isFinite(loss))
      throw new CheckpointError(
        join(this.options.folder, "log.jsonl"),
        `the loss of step ${this.made} is ${loss}; lower the learning rate and begin anew, or go on from an older state`,
      );
    this.made++;
    this.sums.steps++;
    this.sums.loss += loss;
    this.sums.norm += norm;
    this.show(loss);
    if (this.made % logEvery === 0) this.flushLog();
  }

  /** Writes the line of what was made since the last. */
  flushLog(): void {
    const { steps, loss, norm, since } = this.sums;
    if (steps === 0) return;
    const seconds = this.seconds();
    const { tokensPerStep } = this.options;
    this.log.write({
      ...{ kind: "step", step: this.made, tokens: this.made * tokensPerStep },
      ...{ loss: round(loss / steps), norm: round(norm / steps), rate: round(this.schedule(this.made - 1)) },
      ...{
        seconds: round(seconds),
        tokensPerSecond: Math.round((steps * tokensPerStep) / (seconds - since)),
      },
    });
    this.sums = { steps: 0, loss: 0, norm: 0, since: seconds };
  }

  async validate(measure: NonNullable<SessionOptions["validate"]>): Promise<void> {
    this.flushLog();
    const seconds = this.seconds();
    const began = performance.now();
    const figures = await measure();
    this.pause += performance.now() - began;
    const { made } = this;
    const rounded = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value)]));
    this.log.write({
      ...{
        kind: "validation",
        step: made,
        tokens: made * this.options.tokensPerStep,
        seconds: round(seconds),
      },
      ...{ loss: round(figures.loss), ...rounded },
    });
    this.options.screen?.line(
      `step ${made}: ${Object.entries(figures)
        .map(([name, value]) => `${name} ${value.toFixed(4)}`)
        .join(", ")} on what was held out`,
    );
  }

  private show(loss: number): void {
    const { screen, tokensPerStep, operationsPerStep, minutes = Number.POSITIVE_INFINITY } = this.options;
    if (!screen) return;
    const elapsed = (performance.now() - this.started - this.pause) / 1000;
    const rate = (this.made - this.madeBefore) / elapsed;
    const end = this.options.end(this.position());
    const left = Math.min((end - this.made) / rate, minutes * 60 - (performance.now() - this.started) / 1000);
    showProgress(screen, {
      ...{ step: this.made, end, loss, tokensPerSecond: rate * tokensPerStep },
      ...{ gigaflops: (rate * operationsPerStep) / 1e9, secondsLeft: left },
    });
  }
}

/** Six digits: what a log needs. */
const round = (value: number): number => Number(value.toPrecision(6));
