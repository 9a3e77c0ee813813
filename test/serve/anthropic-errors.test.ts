/**
 * Every status with which the server refuses is told in Anthropic's form, on all routes that its clients call, and the
 * official client throws the class of error that its users catch.
 */
import Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { FoveaError } from "../../src/base/errors.ts";
import { type AppOptions, createApp } from "../../src/serve/app.ts";
import { Gate } from "../../src/serve/gate.ts";
import type { Generation, TokenEvent } from "../../src/tasks/types.ts";
import { type FakeModel, type FakeOptions, fakeModel } from "../support/fake-model.ts";

const messages = [{ role: "user" as const, content: "Hi" }];
const body = { model: "fake", max_tokens: 5, messages };

/** A model of which every generation fails, after its first token where that is asked for. */
function failing(error: Error, { late = false } = {}): FakeModel {
  const fail = () => Promise.reject(error);
  async function* run(): AsyncGenerator<TokenEvent> {
    if (late) yield { token: 72, text: "H", logprob: -1 };
    await fail();
  }
  const generation = { events: run, result: fail } as unknown as Generation;
  return { ...fakeModel(), chat: () => generation };
}

const drained = (): Gate => {
  const gate = new Gate(8);
  void gate.drain();
  return gate;
};
const full = (): Gate => {
  const gate = new Gate(1);
  gate.enter();
  return gate;
};

interface Case {
  readonly status: number;
  readonly type: string;
  readonly message: RegExp;
  /** The class that the client throws. */
  readonly thrown: new (
    ...given: never
  ) => Error;
  readonly model?: FakeModel;
  readonly fake?: FakeOptions;
  readonly options?: AppOptions;
  readonly body?: object | string;
  readonly path?: string;
}

const cases: Readonly<Record<string, Case>> = {
  "a value that cannot be": {
    ...{ status: 400, type: "invalid_request_error", message: /^temperature: must be a number from 0 to 1/ },
    ...{ thrown: Anthropic.BadRequestError, body: { ...body, temperature: 2 } },
  },
  "a field that there is not": {
    ...{ status: 400, type: "invalid_request_error", message: /^tempo: no such field/ },
    ...{ thrown: Anthropic.BadRequestError, body: { ...body, tempo: 1 } },
  },
  "a body that is no JSON": {
    ...{ status: 400, type: "invalid_request_error", message: /not valid JSON/ },
    ...{ thrown: Anthropic.BadRequestError, body: '{"model":' },
  },
  "a prompt that is too long": {
    ...{ status: 400, type: "invalid_request_error", message: /exceed the context of 128/ },
    ...{ thrown: Anthropic.BadRequestError, body: { ...body, max_tokens: 125 } },
  },
  "a model that does not chat": {
    ...{ status: 400, type: "invalid_request_error", message: /no chat template/ },
    ...{ thrown: Anthropic.BadRequestError, fake: { chats: false } },
  },
  "a key of nobody's": {
    ...{ status: 401, type: "authentication_error", message: /not one of this server's/ },
    ...{ thrown: Anthropic.AuthenticationError, options: { keys: ["another"] } },
  },
  "another model": {
    ...{ status: 404, type: "not_found_error", message: /serves "fake", not "claude"/ },
    ...{ thrown: Anthropic.NotFoundError, body: { ...body, model: "claude" } },
  },
  "a route that there is not": {
    ...{ status: 404, type: "not_found_error", message: /no POST \/v1\/messages\/batches here/ },
    ...{ thrown: Anthropic.NotFoundError, path: "/v1/messages/batches" },
  },
  "a body that is too large": {
    ...{ status: 413, type: "request_too_large", message: /more than 20 bytes/ },
    ...{ thrown: Anthropic.APIError, options: { maxBody: 20 } },
  },
  "too many requests": {
    ...{ status: 429, type: "rate_limit_error", message: /try again later/ },
    ...{ thrown: Anthropic.RateLimitError, options: { gate: full() } },
  },
  "a failure that we know": {
    ...{ status: 500, type: "api_error", message: /^the device ran out of memory$/ },
    ...{
      thrown: Anthropic.InternalServerError,
      model: failing(new FoveaError("the device ran out of memory")),
    },
  },
  "a bug, whose words stay in the log": {
    ...{ status: 500, type: "api_error", message: /its log says more/ },
    ...{ thrown: Anthropic.InternalServerError, model: failing(new TypeError("x is undefined")) },
  },
  "a server that stops": {
    ...{ status: 503, type: "overloaded_error", message: /is stopping/ },
    ...{ thrown: Anthropic.InternalServerError, options: { gate: drained() } },
  },
  "an answer that takes too long": {
    ...{ status: 504, type: "timeout_error", message: /not complete after 0.02 s/ },
    ...{ thrown: Anthropic.InternalServerError, fake: { delay: 10 }, options: { timeout: 20 } },
  },
};

const appOf = ({ model, fake, options }: Case) =>
  createApp(model ?? fakeModel(fake), { onError: () => {}, ...options });

const post = (app: ReturnType<typeof createApp>, path: string, sent: object | string) =>
  Promise.resolve(
    app.request(`http://localhost${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": "one", "anthropic-version": "2023-06-01" },
      body: typeof sent === "string" ? sent : JSON.stringify(sent),
    }),
  );

describe.each(Object.entries(cases))("%s", (_, wrong) => {
  it("has Anthropic's form, whole and streamed", async () => {
    const app = appOf(wrong);
    const sent = wrong.body ?? body;
    // What fails on the way of a stream is its last event; all that is refused before is an answer of its own.
    const forms = typeof sent === "string" ? [sent] : [sent, { ...sent, stream: true }];
    for (const form of wrong.status === 504 ? [sent] : forms) {
      const response = await post(app, wrong.path ?? "/v1/messages", form);
      expect(response.status).toBe(wrong.status);
      expect(response.headers.get("content-type")).toMatch(/^application\/json/);
      expect(await response.json()).toEqual({
        type: "error",
        error: { type: wrong.type, message: expect.stringMatching(wrong.message) },
      });
      if (wrong.status === 429 || wrong.status === 503)
        expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    }
  });
});

/** The client sends what is an object. */
const sendable = Object.entries(cases).filter(([, { body: sent }]) => typeof sent !== "string");

it.each(sendable)("%s is thrown by the official client as what its users catch", async (_, wrong) => {
  const app = appOf(wrong);
  const client = new Anthropic({
    ...{ baseURL: "http://localhost", apiKey: "one", maxRetries: 0 },
    fetch: async (url, init) => app.request(new Request(url as string, init as RequestInit)),
  });
  const call = client.post(wrong.path ?? "/v1/messages", { body: wrong.body ?? body });
  await expect(call).rejects.toBeInstanceOf(wrong.thrown);
  await expect(call).rejects.toMatchObject({
    status: wrong.status,
    error: { type: "error", error: { type: wrong.type } },
  });
});

it("a failure in the middle of a stream is its last event", async () => {
  const app = createApp(failing(new FoveaError("the disk is gone"), { late: true }), { onError: () => {} });
  const response = await post(app, "/v1/messages", { ...body, stream: true });
  const events = (await response.text()).trim().split("\n\n");
  expect(events[0]).toMatch(/^event: message_start\n/);
  expect(events.at(-1)).toBe(
    'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"the disk is gone"}}',
  );
});

it("other routes answer so to whoever names Anthropic's version", async () => {
  const app = createApp(fakeModel(), { keys: ["one"] });
  const get = async (path: string, headers: Record<string, string>) => {
    const response = await app.request(`http://localhost${path}`, { headers });
    return [response.status, await response.json()];
  };
  const version = { "anthropic-version": "2023-06-01" };
  const shape = (type: string) => ({ type: "error", error: { type, message: expect.any(String) } });
  expect(await get("/v1/models", version)).toEqual([401, shape("authentication_error")]);
  const known = { ...version, "x-api-key": "one" };
  expect(await get("/v1/models/claude", known)).toEqual([404, shape("not_found_error")]);
  expect(await get("/v1/nothing", known)).toEqual([404, shape("not_found_error")]);
  const foreign = { ...known, origin: "https://elsewhere.example" };
  expect(await get("/v1/models", foreign)).toEqual([403, shape("permission_error")]);
});
