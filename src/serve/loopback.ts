/**
 * Keeps other sites' pages away from a server that listens on loopback only. A browser lets any page send
 * requests to 127.0.0.1, and a name that an attacker controls may resolve to it (DNS rebinding); in both cases
 * the request carries a foreign `Host` or `Origin`.
 */
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./errors.ts";

/** Whether a host name means this machine and no other. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return (
    name === "localhost" || name.endsWith(".localhost") || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name)
  );
}

/** @param origins whose pages may use the server all the same; `*` is any */
export const loopbackOnly =
  (origins: readonly string[] = []): MiddlewareHandler =>
  async (c, next) => {
    const origin = c.req.header("origin");
    if (!isLoopback(new URL(c.req.url).hostname))
      throw new ApiError(
        403,
        "this server answers to localhost only; start it with --host to serve a network",
        {
          code: "foreign_host",
        },
      );
    const named = origin !== undefined && (origins.includes(origin) || origins.includes("*"));
    if (origin !== undefined && !named && !isLoopback(URL.canParse(origin) ? new URL(origin).hostname : ""))
      throw new ApiError(
        403,
        `pages of ${origin} may not use this server; to let them, start it with --origin ${origin}`,
        { code: "foreign_origin" },
      );
    await next();
  };
