/** What went wrong with a request, in the server's own words, as data that can be kept and shown. */

export interface Failure {
  readonly message: string;
  /** Of HTTP; absent when no answer came, or when a stream broke. */
  readonly status?: number;
  readonly code?: string;
  /** The field at fault. */
  readonly param?: string;
  readonly requestId?: string;
  /** Seconds after which it is worth asking again. */
  readonly retryAfter?: number;
}

export class RequestFailed extends Error {
  override name = "RequestFailed";
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** The body of an error as OpenAI's API writes it. */
export interface ErrorBody {
  readonly message?: string;
  readonly code?: string | null;
  readonly param?: string | null;
}

export const failureOf = (error: unknown): Failure =>
  error instanceof RequestFailed
    ? error.failure
    : { message: error instanceof Error ? error.message : String(error) };

/** The fields of an error body that say something. */
export const described = ({ message, code, param }: ErrorBody, otherwise: string): Failure => ({
  message: message || otherwise,
  ...(code ? { code } : {}),
  ...(param ? { param } : {}),
});

/** An error response: what its JSON says, or else its text, whole. */
export async function failureOfResponse(response: Response): Promise<Failure> {
  const text = await response.text().catch(() => "");
  const wait = Number(response.headers.get("retry-after") ?? Number.NaN);
  const requestId = response.headers.get("x-request-id");
  return {
    ...described(bodyOf(text), text.trim() || `the server answered ${response.status} without a word`),
    status: response.status,
    ...(requestId ? { requestId } : {}),
    ...(Number.isFinite(wait) ? { retryAfter: wait } : {}),
  };
}

function bodyOf(text: string): ErrorBody {
  try {
    const { error } = JSON.parse(text) as { error?: ErrorBody | string };
    return typeof error === "string" ? { message: error } : (error ?? {});
  } catch {
    return {};
  }
}
