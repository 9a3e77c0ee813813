/**
 * Spans of requests and of their generations, by the OpenTelemetry API. Without an SDK in the process, which is for
 * who runs it to load (`node --import ./tracing.mjs`), all of this does nothing. Attributes have the names of the
 * semantic conventions for HTTP and for generative AI.
 */
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { MiddlewareHandler } from "hono";
import type { Observer } from "./observe.ts";
import { whenAnswered } from "./requests.ts";

const tracer = () => trace.getTracer("fovea");

const fail = (span: Span, message: string): void => {
  span.setStatus({ code: SpanStatusCode.ERROR, message });
};

/** A span for each request, beneath the one that its `traceparent` names. */
export const traceRequests: MiddlewareHandler = async (c, next) => {
  const parent = propagation.extract(context.active(), c.req.header());
  const { method, path } = c.req;
  const attributes = { "http.request.method": method, "url.path": path };
  const span = tracer().startSpan(`${method} ${path}`, { kind: SpanKind.SERVER, attributes }, parent);
  whenAnswered(c, (cut, status) => {
    if (status !== undefined) span.setAttribute("http.response.status_code", status);
    if (status !== undefined && status >= 500) fail(span, `status ${status}`);
    if (cut) fail(span, "the client left");
    span.end();
  });
  await context.with(trace.setSpan(parent, span), next);
};

/** A span for each generation, with an event at its first token. */
export const traceGenerations: Observer = (model) => {
  const span = tracer().startSpan(`generate ${model.name}`, {
    attributes: {
      "gen_ai.operation.name": "text_completion",
      "gen_ai.provider.name": "fovea",
      "gen_ai.request.model": model.name,
    },
  });
  let tokens = 0;
  return {
    token() {
      if (tokens++ === 0) span.addEvent("first token");
    },
    end(outcome) {
      span.setAttribute("gen_ai.usage.output_tokens", tokens);
      if (outcome instanceof Error) fail(span, outcome.message);
      else {
        const reason = outcome?.finishReason ?? "abort";
        span.setAttribute("gen_ai.response.finish_reasons", [reason]);
        if (outcome) span.setAttribute("gen_ai.usage.input_tokens", outcome.promptTokens);
      }
      span.end();
    },
  };
};
