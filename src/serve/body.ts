/** The body of a request as JSON. Knows bytes and brackets; must not know what is asked. */
import { ApiError } from "./errors.ts";

/** Bytes: a million tokens of English. What is larger would keep the others waiting while it is read. */
export const MAX_BODY = 4 * 1024 * 1024;
/** Levels of lists and objects within each other: more than any schema has; a parser is slow at millions of them. */
const DEEPEST = 512;

/** @param most bytes; a larger body is refused as soon as that is known */
export async function parseBody(request: Request, most: number): Promise<unknown> {
  const text = await textOf(request, most).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    throw new ApiError(400, "the client left before the body was complete", { code: "incomplete_body" });
  });
  if (depthOf(text) > DEEPEST)
    throw new ApiError(400, `the body has lists or objects more than ${DEEPEST} deep within each other`, {
      code: "invalid_json",
    });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError(400, `the body is not valid JSON: ${(error as Error).message}`, {
      code: "invalid_json",
    });
  }
}

async function textOf(request: Request, most: number): Promise<string> {
  const refuse = (): never => {
    throw new ApiError(413, `the body has more than ${most} bytes; the server takes more with --max-body`, {
      code: "body_too_large",
    });
  };
  const told = request.headers.get("content-length");
  if (told !== null) return Number(told) > most ? refuse() : request.text();
  // One that comes in pieces does not say how many there are.
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += piece.byteLength;
    if (bytes > most) refuse();
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

/** How deep brackets lie within each other, outside of strings; looks no further than one level too deep. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (let i = 0; i < text.length && deepest <= DEEPEST; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = endOfString(text, i);
    else if (c === 0x5b || c === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x5d || c === 0x7d) depth--;
  }
  return deepest;
}

/** Where the string that begins at `from` ends: a quotation mark behind an even number of backslashes. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}
