/** The server as a function of requests, over a model whose answers are known. */
import { expect } from "vitest";
import { type AppOptions, createApp } from "../../src/serve/app.ts";
import { type FakeOptions, fakeModel } from "./fake-model.ts";

export interface ErrorShape {
  readonly error: { message: string; type: string; param: string | null; code: string | null };
}

export const chatPath = "/v1/chat/completions";
export const textPath = "/v1/completions";
export const messages = [{ role: "user", content: "Hi" }];

export function server(fake: FakeOptions = {}, options: AppOptions = {}) {
  const errors: unknown[] = [];
  const model = fakeModel(fake);
  const app = createApp(model, { onError: (error) => errors.push(error), ...options });
  const send = (path: string, body: unknown, init: RequestInit = {}) =>
    app.request(`http://localhost${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
    });
  const refused = async (path: string, body: unknown, status = 400) => {
    const response = await send(path, body);
    const { error } = (await response.json()) as ErrorShape;
    expect(response.status, error?.message).toBe(status);
    expect(error.type).toBe(status < 500 ? "invalid_request_error" : "server_error");
    return error;
  };
  return { app, model, send, refused, errors };
}

/** The data of a response's server-sent events. */
export const events = async (response: Response): Promise<string[]> =>
  (await response.text())
    .split("\n\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^data: /, ""));
