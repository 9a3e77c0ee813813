/** An answer that grows with its events. Pure: the same events give the same answer. */
import type { AnswerEvent, Token } from "../api/events.ts";
import type { Failure } from "../api/failure.ts";
import type { Answer, Stats } from "./types.ts";

export interface Timed {
  readonly event: AnswerEvent;
  /** Milliseconds since the request. */
  readonly at: number;
}

/** Takes many events at once: each call copies what came before. */
export function grow<A extends Answer>(answer: A, events: readonly Timed[]): A {
  if (events.length === 0) return answer;
  let { text, reasoning, finish, stats } = answer;
  const tokens: Token[] = [...(answer.tokens ?? [])];
  for (const { event, at } of events) {
    if (event.kind === "text") {
      // What came before its first letter were the marks of thoughts.
      if (text === "" && reasoning !== undefined && event.text !== "") tokens.length = 0;
      text += event.text;
      if (event.tokens) tokens.push(...event.tokens);
      stats = counted(stats, event.tokens?.length ?? 1, at);
    } else if (event.kind === "reasoning") {
      reasoning = (reasoning ?? "") + event.text;
      stats = counted(stats, 1, at);
    } else if (event.kind === "finish") finish = event.reason;
    else
      stats = {
        ...(stats ?? counted(undefined, 0, at)),
        promptTokens: event.promptTokens,
        tokens: event.tokens,
      };
  }
  return {
    ...answer,
    text,
    ...(reasoning === undefined ? {} : { reasoning }),
    ...(tokens.length === 0 ? {} : { tokens }),
    ...(finish === undefined ? {} : { finish }),
    ...(stats === undefined ? {} : { stats }),
  };
}

const counted = (stats: Stats | undefined, tokens: number, at: number): Stats =>
  stats === undefined
    ? { tokens, firstMs: at, ms: 0 }
    : { ...stats, tokens: stats.tokens + tokens, ms: at - stats.firstMs };

/** What was running is over: as the server said, or because of this. */
export function ended<A extends Answer>(answer: A, because?: "stopped" | "interrupted" | Failure): A {
  if (because === undefined) return answer.finish === "running" ? { ...answer, finish: "stop" } : answer;
  if (typeof because === "string") return { ...answer, finish: because };
  return { ...answer, finish: "failed", failure: because };
}

/** How it went, in a line. */
export function noteOf({ stats, finish }: Answer): string {
  const facts: string[] = [];
  if (stats) {
    const { tokens, firstMs, ms } = stats;
    facts.push(`${tokens} ${tokens === 1 ? "token" : "tokens"}`);
    if (tokens > 1 && ms > 0) facts.push(`${shortNumber(((tokens - 1) * 1000) / ms)} tokens/s`);
    facts.push(`first after ${Math.round(firstMs)} ms`);
  }
  if (finish === "length") facts.push("length reached");
  else if (finish !== undefined && finish in endings) facts.push(endings[finish]!);
  return facts.join(" · ");
}

const endings: Readonly<Record<string, string>> = {
  stopped: "stopped",
  interrupted: "interrupted by a reload",
  failed: "failed",
};

const shortNumber = (rate: number): string => (rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3));
