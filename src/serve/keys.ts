/** Who may use the server: those who send one of its keys. Knows headers; must not know what the keys open. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./errors.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Refuses requests without one of the keys, as `Authorization: Bearer KEY` or `x-api-key: KEY`. */
export function requireKey(keys: readonly string[]): MiddlewareHandler {
  const digests = keys.map(digest);
  return async (c, next) => {
    const bearer = /^Bearer +(.*)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    const given = bearer ?? c.req.header("x-api-key");
    if (given === undefined)
      throw new ApiError(401, "an API key is needed, as the header Authorization: Bearer KEY", {
        code: "missing_api_key",
      });
    const own = digest(given);
    // All are compared, each in constant time, so that the time says nothing about a key.
    if (digests.filter((known) => timingSafeEqual(known, own)).length === 0)
      throw new ApiError(401, "the API key is not one of this server's", { code: "invalid_api_key" });
    await next();
  };
}
