/**
 * The server as a function from Request to Response: routes, limits, and the form of every error.
 * Must not know sockets (listen.ts) or how a model is opened.
 */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { ParameterError } from "../base/errors.ts";
import type { LanguageModel } from "../tasks/types.ts";
import { type Assets, serveAsset } from "./assets.ts";
import { chatCompletions } from "./chat.ts";
import { completions } from "./completions.ts";
import { type ServeContext, unixTime } from "./context.ts";
import { ApiError, apiError, errorBody } from "./errors.ts";
import { Gate } from "./gate.ts";
import { requireKey } from "./keys.ts";
import { loopbackOnly } from "./loopback.ts";
import type { Metrics } from "./metrics.ts";
import { observe } from "./observe.ts";
import { type RequestReport, reportRequests } from "./requests.ts";
import { traceGenerations, traceRequests } from "./traces.ts";

export interface AppOptions {
  /** The page at `/` and its files. */
  readonly assets?: Assets;
  /** Answer only requests that were addressed to this machine by a loopback name. Default true. */
  readonly loopback?: boolean;
  /** One of them must come with each request to the API; none: no login. */
  readonly keys?: readonly string[];
  /** Origins whose pages may use the API from a browser; `*` is any. Default: those of this machine's own. */
  readonly origins?: readonly string[];
  /** Largest request body in bytes. Default 16 MiB. */
  readonly maxBody?: number;
  /** How many requests run or wait at once. Default: 1024. */
  readonly gate?: Gate;
  /** Milliseconds that a request may take. Default 10 minutes. */
  readonly timeout?: number;
  /** Ends all work when it aborts. */
  readonly shutdown?: AbortSignal;
  /** Served at /metrics. */
  readonly metrics?: Metrics;
  /** Told of every request when its answer has gone out. */
  readonly onRequest?: (report: RequestReport) => void;
  /** Told of every failure that is not the client's. Default: console.error. */
  readonly onError?: (error: unknown) => void;
}

/** The OpenAI-compatible API of one model. A model without a tokenizer is refused. */
export function createApp(served: LanguageModel, options: AppOptions = {}): Hono {
  const {
    assets = new Map(),
    loopback = true,
    keys = [],
    origins = [],
    maxBody = 16 * 1024 * 1024,
    gate = new Gate(1024),
    metrics,
    onRequest,
    onError = console.error,
  } = options;
  const model = observe(served, [traceGenerations, ...(metrics ? [metrics.observer] : [])]);
  if (model.tokenizer === undefined)
    throw new ParameterError(
      "model",
      `"${model.name}" has no tokenizer, so it cannot be served; put its tokenizer.json beside the weights`,
    );
  const context: ServeContext = {
    model,
    tokenizer: model.tokenizer,
    created: unixTime(),
    gate,
    timeout: options.timeout ?? 600_000,
    shutdown: options.shutdown ?? new AbortController().signal,
    onError,
  };
  const app = new Hono();
  app.onError((error) => {
    const refusal = apiError(error);
    if (refusal.status >= 500 && !(error instanceof ApiError)) onError(error);
    const { status, retryAfter } = refusal;
    return Response.json(errorBody(refusal), {
      status,
      headers: retryAfter === undefined ? {} : { "retry-after": String(retryAfter) },
    });
  });
  app.notFound((c) => {
    throw new ApiError(404, `there is no ${c.req.method} ${c.req.path} here`, { code: "not_found" });
  });
  app.use(traceRequests);
  if (onRequest || metrics)
    app.use(
      reportRequests((report) => {
        metrics?.request(report);
        onRequest?.(report);
      }),
    );
  if (origins.length > 0)
    app.use(cors({ origin: origins.includes("*") ? "*" : [...origins], exposeHeaders: ["x-request-id"] }));
  if (loopback) app.use(loopbackOnly(origins));
  if (keys.length > 0) app.use("/v1/*", requireKey(keys));
  app.use(
    "/v1/*",
    bodyLimit({
      maxSize: maxBody,
      onError: () => {
        throw new ApiError(413, `the body has more than ${maxBody} bytes`, { code: "body_too_large" });
      },
    }),
  );
  app.get("/health", () => Response.json({ status: "ok", model: model.name }));
  app.get("/ready", () =>
    gate.open
      ? Response.json({ status: "ready", model: model.name })
      : Response.json({ status: "stopping", model: model.name }, { status: 503 }),
  );
  if (metrics)
    app.get("/metrics", async (c) =>
      c.body(await metrics.text(), 200, { "content-type": metrics.contentType }),
    );
  app.get("/v1/models", () => Response.json({ object: "list", data: [describe(context)] }));
  // A model's name may hold slashes.
  app.get("/v1/models/:id{.+}", (c) => {
    const id = c.req.param("id");
    if (id !== model.name)
      throw new ApiError(404, `this server serves "${model.name}", not "${id}"`, { code: "model_not_found" });
    return Response.json(describe(context));
  });
  app.post("/v1/chat/completions", async (c) => chatCompletions(context, c.req.raw, await json(c.req.raw)));
  app.post("/v1/completions", async (c) => completions(context, c.req.raw, await json(c.req.raw)));
  app.get("*", (c) => {
    const asset = assets.get(c.req.path);
    if (asset !== undefined) return serveAsset(asset, c.req.raw);
    if (c.req.path === "/")
      return c.text(
        `Fovea serves "${model.name}" at ${new URL("/v1", c.req.url).href}; the page was not built.\n`,
      );
    return c.notFound();
  });
  return app;
}

/** The model object of the API, with what a client may want to know besides. */
function describe({ model, created }: ServeContext) {
  const { architecture, device, parameters, weightsBytes } = model.describe();
  return {
    id: model.name,
    object: "model",
    created,
    owned_by: "fovea",
    architecture,
    parameters,
    weights_bytes: weightsBytes,
    context_length: model.contextLength,
    chat: model.chats,
    device,
  };
}

async function json(request: Request): Promise<unknown> {
  try {
    return JSON.parse(await request.text());
  } catch (error) {
    throw new ApiError(400, `the body is not valid JSON: ${(error as Error).message}`, {
      code: "invalid_json",
    });
  }
}
