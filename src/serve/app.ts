/**
 * The server as a function from Request to Response: routes, limits, and the form of every error.
 * Must not know sockets (listen.ts) or how a model is opened.
 */
import { setMaxListeners } from "node:events";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { ParameterError } from "../base/errors.ts";
import type { LanguageModel } from "../tasks/types.ts";
import { anthropic } from "./anthropic/dialect.ts";
import { countTokens, messages } from "./anthropic/messages.ts";
import { listModels, modelInfo } from "./anthropic/models.ts";
import { type Assets, serveAsset } from "./assets.ts";
import { MAX_BODY, parseBody } from "./body.ts";
import { chatCompletions } from "./chat.ts";
import { completions } from "./completions.ts";
import { endWork, type ServeContext, unixTime } from "./context.ts";
import { type Dialect, openai } from "./dialect.ts";
import { EngineView } from "./engine.ts";
import { ApiError, apiError } from "./errors.ts";
import { Gate } from "./gate.ts";
import { ownerOf, requireKey } from "./keys.ts";
import { loopbackOnly } from "./loopback.ts";
import type { Metrics } from "./metrics.ts";
import { observe } from "./observe.ts";
import { chat } from "./ollama/chat.ts";
import { ollama } from "./ollama/dialect.ts";
import { generate } from "./ollama/generate.ts";
import { running, show, tags, versions } from "./ollama/models.ts";
import { type RequestReport, reportRequests } from "./requests.ts";
import { Responses } from "./responses/responses.ts";
import { detokenize, tokenize } from "./tokens.ts";
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
  /** Largest request body in bytes. Default 4 MiB. */
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
    maxBody = MAX_BODY,
    gate = new Gate(1024),
    metrics,
    onRequest,
    onError = console.error,
  } = options;
  if (metrics && served.monitor) metrics.engine(served.monitor);
  const model = observe(served, [traceGenerations, ...(metrics ? [metrics.observer] : [])]);
  if (model.tokenizer === undefined)
    throw new ParameterError(
      "model",
      `"${model.name}" has no tokenizer, so it cannot be served; put its tokenizer.json beside the weights`,
    );
  const shutdown = options.shutdown ?? new AbortController().signal;
  // Every request under way listens to it; Node would take more than ten for a leak.
  setMaxListeners(0, shutdown);
  const context: ServeContext = {
    model,
    tokenizer: model.tokenizer,
    created: unixTime(),
    ownerOf: (request) => ownerOf(keys, request),
    gate,
    timeout: options.timeout ?? 600_000,
    shutdown,
    onError,
  };
  const app = new Hono();
  app.onError((error, c) => {
    endWork(c.req.raw);
    const dialect = dialectOf(c.req.raw, c.req.path);
    const refusal = apiError(error, dialect);
    // What comes of work that was ended because its client has gone is no failure.
    const left = c.req.raw.signal.aborted;
    if (refusal.status >= 500 && !(error instanceof ApiError) && !left) onError(error);
    const { status, retryAfter } = refusal;
    return Response.json(dialect.error(refusal), {
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
  const body = (request: Request): Promise<unknown> => parseBody(request, maxBody);
  if (keys.length > 0)
    for (const path of ["/v1/*", "/api/*", "/engine/*", "/tokenize", "/detokenize"])
      app.use(path, requireKey(keys));
  app.get("/health", () => Response.json({ status: "ok", model: model.name }));
  app.get("/ready", () =>
    gate.open && model.ready
      ? Response.json({ status: "ready", model: model.name })
      : Response.json(
          { status: gate.open ? "starting" : "stopping", model: model.name },
          { status: 503, headers: { "retry-after": "1" } },
        ),
  );
  if (metrics)
    app.get("/metrics", async (c) =>
      c.body(await metrics.text(), 200, { "content-type": metrics.contentType }),
    );
  const engine = new EngineView(model.monitor, context.shutdown);
  app.get("/engine", async () => Response.json(await engine.snapshot()));
  app.get("/engine/events", (c) => engine.stream(c.req.raw));
  // Two APIs have this route.
  app.get("/v1/models", (c) =>
    forAnthropic(c.req.raw)
      ? listModels(context)
      : Response.json({ object: "list", data: [describe(context)] }),
  );
  // A model's name may hold slashes.
  app.get("/v1/models/:id{.+}", (c) => {
    const id = c.req.param("id");
    if (id !== model.name)
      throw new ApiError(404, `this server serves "${model.name}", not "${id}"`, { code: "model_not_found" });
    return Response.json(forAnthropic(c.req.raw) ? modelInfo(context) : describe(context));
  });
  app.post("/v1/chat/completions", async (c) => chatCompletions(context, c.req.raw, await body(c.req.raw)));
  app.post("/v1/completions", async (c) => completions(context, c.req.raw, await body(c.req.raw)));
  const responses = new Responses(context);
  app.post("/v1/responses", async (c) => responses.create(c.req.raw, await body(c.req.raw)));
  app.get("/v1/responses/:id", (c) => responses.get(c.req.raw, c.req.param("id")));
  app.delete("/v1/responses/:id", (c) => responses.delete(c.req.raw, c.req.param("id")));
  app.get("/v1/responses/:id/input_items", (c) => responses.inputItems(c.req.raw, c.req.param("id")));
  app.post("/v1/messages", async (c) => messages(context, c.req.raw, await body(c.req.raw)));
  app.post("/v1/messages/count_tokens", async (c) => countTokens(context, await body(c.req.raw)));
  app.post("/api/chat", async (c) => chat(context, c.req.raw, await body(c.req.raw)));
  app.post("/api/generate", async (c) => generate(context, c.req.raw, await body(c.req.raw)));
  app.get("/api/tags", () => tags(context));
  app.get("/api/ps", () => running(context));
  app.get("/api/version", versions);
  app.post("/api/show", async (c) => show(context, await body(c.req.raw)));
  app.post("/tokenize", async (c) => tokenize(context, await body(c.req.raw)));
  app.post("/detokenize", async (c) => detokenize(context, await body(c.req.raw)));
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

/** Requests of Anthropic's API name its version. */
const forAnthropic = (request: Request): boolean => request.headers.has("anthropic-version");

/** Which API a request belongs to. */
function dialectOf(request: Request, path: string): Dialect {
  if (path.startsWith("/api/")) return ollama;
  return path.startsWith("/v1/messages") || forAnthropic(request) ? anthropic : openai;
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
