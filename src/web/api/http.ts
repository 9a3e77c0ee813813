/** Requests to the server that this page came from, with the key that it asks for, if it asks for one. */
import { failureOfResponse, RequestFailed } from "./failure.ts";

let key: string | undefined;

/** The key of all requests from now on; keeping it is the caller's affair. */
export function setKey(given: string | undefined): void {
  key = given;
}

const headers = (): Record<string, string> => (key === undefined ? {} : { authorization: `Bearer ${key}` });

/** Throws RequestFailed unless the answer is a success. */
async function request(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestFailed({ message: `The server cannot be reached: ${(error as Error).message}.` });
  }
  if (response.ok) return response;
  throw new RequestFailed(await failureOfResponse(response));
}

export const get = (path: string, signal?: AbortSignal): Promise<Response> =>
  request(path, { headers: headers(), ...(signal ? { signal } : {}) });

export const post = (path: string, body: object, signal?: AbortSignal): Promise<Response> =>
  request(path, {
    method: "POST",
    headers: { ...headers(), "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
