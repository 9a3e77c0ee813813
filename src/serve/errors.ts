/**
 * What a client is told when a request cannot be served.
 * Knows HTTP statuses and our errors; must not know routes, or how a dialect writes it.
 */
import { FoveaError, ParameterError } from "../base/errors.ts";
import type { Dialect } from "./dialect.ts";

export interface ErrorDetails {
  /** The request field at fault. */
  readonly param?: string;
  readonly code?: string;
  /** Seconds after which it is worth asking again. */
  readonly retryAfter?: number;
}

/** A refusal with its HTTP status. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;
  readonly retryAfter: number | undefined;

  constructor(status: number, message: string, { param, code, retryAfter }: ErrorDetails = {}) {
    super(message);
    this.status = status;
    this.param = param ?? null;
    this.code = code ?? null;
    this.retryAfter = retryAfter;
  }
}

/** 400: the field has a value that cannot be used. */
export const invalid = (param: string, problem: string, code = "invalid_value"): ApiError =>
  new ApiError(400, `${param}: ${problem}`, { param, code });

/** An option of the library by the name that the field has in a request. */
const fieldOf = (parameter: string, { fields }: Dialect): string =>
  fields[parameter] ?? parameter.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

/**
 * Anything thrown, as a refusal. A parameter that the library refuses is the client's to mend (400); another
 * error of ours is told (500); what is a bug is not told to the client.
 */
export function apiError(error: unknown, dialect: Dialect): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ParameterError) {
    const param = fieldOf(error.parameter, dialect);
    return invalid(param, error.problem);
  }
  if (error instanceof FoveaError) return new ApiError(500, error.message);
  return new ApiError(500, "the server failed while it worked on this request; its log says more");
}
