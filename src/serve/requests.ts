/**
 * A name for each request, and word of how it went, for logs. Knows HTTP; must not know how words are kept.
 */
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Context, MiddlewareHandler } from "hono";

export interface RequestReport {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** Of the answer; 499 when the client left before it began. */
  readonly status: number;
  /** Milliseconds until the last byte was handed over. */
  readonly ms: number;
  /** The client left before that. */
  readonly cut: boolean;
}

/** What servers log for a client that left before its answer began: no status was sent. */
const CLIENT_LEFT = 499;

/** A client's own name for its request is kept if it can stand in a log as it is. */
const plainName = /^[\w.:-]{1,128}$/;

/** Names the request in `x-request-id`, and tells of it when its answer has gone out. */
export function reportRequests(onRequest: (report: RequestReport) => void): MiddlewareHandler {
  return async (c, next) => {
    const started = performance.now();
    const asked = c.req.header("x-request-id");
    const id = asked !== undefined && plainName.test(asked) ? asked : randomUUID();
    const { method, path } = c.req;
    whenAnswered(c, (cut, status = CLIENT_LEFT) =>
      onRequest({ id, method, path, status, ms: performance.now() - started, cut }),
    );
    await next();
    c.res.headers.set("x-request-id", id);
  };
}

/**
 * Calls `tell` when the last byte of the answer has been handed over, or the client has left before (`cut`), with the
 * status if one was sent. An app that is called without a socket is told of nothing.
 */
export function whenAnswered({ env }: Context, tell: (cut: boolean, status?: number) => void): void {
  const { outgoing } = (env ?? {}) as { outgoing?: ServerResponse };
  outgoing?.once("close", () =>
    tell(!outgoing.writableFinished, outgoing.headersSent ? outgoing.statusCode : undefined),
  );
}
