/** Who may use the server: those who send one of its keys. Knows headers; must not know what the keys open. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./errors.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

const givenKey = (headers: Headers): string | undefined =>
  /^Bearer +(.*)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? headers.get("x-api-key") ?? undefined;

/** A name for who holds the key of a request; all are one where no keys are asked for. */
export const ownerOf = (keys: readonly string[], { headers }: Request): string =>
  keys.length === 0 ? "" : digest(givenKey(headers) ?? "").toString("hex");

/** Refuses requests without one of the keys, as `Authorization: Bearer KEY` or `x-api-key: KEY`. */
export function requireKey(keys: readonly string[]): MiddlewareHandler {
  const digests = keys.map(digest);
  return async (c, next) => {
    const given = givenKey(c.req.raw.headers);
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
