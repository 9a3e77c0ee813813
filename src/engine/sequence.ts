/** A sequence as the scheduler sees it, with the requests that it works for and its place in the cache. */
import type { KvCache, Prefix, SequenceId } from "../cache/index.ts";
import { type GenerateRequest, Generating, type Scoring } from "./request.ts";
import type { RunningSequence, WaitingRequest } from "./scheduler.ts";

export interface SequenceParts {
  readonly cache: KvCache;
  readonly id: number;
  readonly arrival: number;
  readonly priority: number;
  readonly deadline: number | undefined;
  readonly salt: string;
  /** Whether the cache may give and keep its blocks. */
  readonly keeps: boolean;
}

export class Sequence implements RunningSequence, WaitingRequest {
  readonly parts: SequenceParts;
  /** Several generations of the same prompt, until that is done; otherwise one. */
  pending: Generating[] | [Scoring];
  place: SequenceId | undefined;
  /** Tokens of the prompt that the cache had when it began. */
  hit: number | undefined;
  /** Whether it waits for another sequence that is computing what both begin with. */
  deferred = false;
  private found: { readonly tokens: number; readonly idle: number } | undefined;

  constructor(parts: SequenceParts, pending: Generating[] | [Scoring], place?: SequenceId) {
    this.parts = parts;
    this.pending = pending;
    this.place = place;
  }

  /** Whether another generation of this prompt can join those that wait here for it. */
  admits({ prompt, salt = "", priority = 0, sampling }: GenerateRequest): boolean {
    const { parts, prompt: own, hit } = this;
    const [first] = this.pending;
    return (
      first instanceof Generating &&
      first.request.sampling.temperature === sampling.temperature &&
      hit === undefined &&
      parts.keeps &&
      parts.salt === salt &&
      parts.priority === priority &&
      parts.deadline === undefined &&
      own.length === prompt.length &&
      own.every((id, i) => id === prompt[i])
    );
  }

  /** Whether a running sequence is about to complete blocks that this one begins with. */
  follows(other: Sequence): boolean {
    const { block } = this.parts.cache;
    if (other.paused || !other.parts.keeps || other.parts.salt !== this.parts.salt) return false;
    const { length, prompt: theirs } = other;
    if (other.known - length < 2) return false;
    const { prompt } = this;
    const most = Math.min(this.wanted, theirs.length, prompt.length);
    let same = 0;
    while (same < most && prompt[same] === theirs[same]) same++;
    return length < Math.floor(same / block) * block;
  }

  get id(): number {
    return this.parts.id;
  }
  get arrival(): number {
    return this.parts.arrival;
  }
  get priority(): number {
    return this.parts.priority;
  }
  get deadline(): number | undefined {
    return this.parts.deadline;
  }
  get paused(): boolean {
    return this.deferred || this.pending.every((one) => one.paused);
  }
  get width(): number {
    return this.pending.length;
  }

  get prompt(): readonly number[] {
    const [first] = this.pending;
    return first instanceof Generating ? first.request.prompt : first!.ids;
  }
  private get generated(): readonly number[] {
    const [first] = this.pending;
    return first instanceof Generating ? first.generated : [];
  }
  get known(): number {
    return this.prompt.length + this.generated.length;
  }
  /** The first position whose logits are wanted. */
  get wanted(): number {
    const [first] = this.pending;
    return first instanceof Generating ? this.known - 1 : first!.told;
  }
  /** Adds the scales of the sums that those who draw from a row of its logits need; false when nobody draws. */
  pushScales(scales: number[]): boolean {
    const { pending } = this;
    let [logprobs, draw, draws] = [0, 0, false];
    for (const one of pending) {
      if (!(one instanceof Generating)) continue;
      draws = true;
      // Equal, where they are not 0, as are the temperatures of those who do a prompt together.
      logprobs = Math.max(logprobs, one.sums[0]);
      draw = Math.max(draw, one.sums[1]);
    }
    scales.push(logprobs, draw);
    return draws;
  }
  /** Tokens [from, to). */
  tokens(from: number, to: number): number[] {
    const { prompt, generated } = this;
    const own = prompt.length;
    if (from >= own) return generated.slice(from - own, to - own);
    return to <= own ? prompt.slice(from, to) : [...prompt.slice(from), ...generated.slice(0, to - own)];
  }

  // In the cache.
  get length(): number {
    return this.place === undefined ? 0 : this.parts.cache.length(this.place);
  }
  get blocks(): number {
    return this.place === undefined ? 0 : this.parts.cache.blocks(this.place);
  }
  get own(): number {
    return this.place === undefined ? 0 : this.parts.cache.ownBlocks(this.place);
  }
  get copies(): boolean {
    return this.place !== undefined && this.parts.cache.copies(this.place);
  }

  // Outside of it.
  get cached(): number {
    return this.find().tokens;
  }
  get idle(): number {
    return this.find().idle;
  }
  /** What the cache has may have changed. */
  forget(): void {
    this.found = undefined;
  }
  private find(): { readonly tokens: number; readonly idle: number } {
    this.found ??= this.parts.keeps ? this.parts.cache.find(this.prefix()) : { tokens: 0, idle: 0 };
    return this.found;
  }

  enter(): void {
    const { cache, keeps } = this.parts;
    this.place = cache.add(keeps ? this.prefix() : undefined);
    this.hit ??= this.length;
  }

  leave(): void {
    if (this.place !== undefined) this.parts.cache.remove(this.place);
    this.place = undefined;
    this.forget();
  }

  private prefix(): Prefix {
    const { prompt, wanted } = this;
    return {
      ...{ ids: this.tokens(0, this.known), salt: this.parts.salt },
      ...{ promptLength: prompt.length, most: wanted },
    };
  }
}
