/** The page's requests, answered by the server itself over a model whose answers are written beforehand. */
import { vi } from "vitest";
import { type AppOptions, createApp } from "../../src/serve/app.ts";
import type { AnswerEvent } from "../../src/web/api/events.ts";
import { type FakeOptions, fakeModel } from "../support/fake-model.ts";

export function serve(fake: FakeOptions = {}, options: AppOptions = {}) {
  const model = fakeModel(fake);
  const app = createApp(model, { onError: () => {}, ...options });
  vi.stubGlobal("fetch", (path: string, init?: RequestInit) => app.request(`http://localhost${path}`, init));
  return model;
}

export async function all(events: AsyncIterable<AnswerEvent>): Promise<AnswerEvent[]> {
  const list: AnswerEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

export const textOf = (events: readonly AnswerEvent[]): string =>
  events.map((event) => (event.kind === "text" ? event.text : "")).join("");
