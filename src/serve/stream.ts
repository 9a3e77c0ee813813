/**
 * Several generations as one stream of events, and a stream of objects as server-sent events.
 * Knows async iteration and the wire format; must not know what the objects say.
 */
import type { Work } from "./context.ts";
import { ApiError, apiError, errorBody } from "./errors.ts";

/** Items of all sources as they come, each with the index of its source. A source's own order is kept. */
export async function* merge<T>(
  sources: readonly AsyncIterable<T>[],
): AsyncGenerator<{ index: number; item: T }> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const pull = async (index: number) => ({ index, result: await iterators[index]!.next() });
  const waiting = new Map(iterators.map((_, index) => [index, pull(index)]));
  try {
    while (waiting.size > 0) {
      const { index, result } = await Promise.race(waiting.values());
      if (result.done) waiting.delete(index);
      else {
        // Behind the others, so that a fast source does not starve them.
        waiting.delete(index);
        waiting.set(index, pull(index));
        yield { index, item: result.value };
      }
    }
  } finally {
    for (const rest of waiting.values()) rest.catch(() => {});
  }
}

/**
 * A response that streams the objects as `data:` lines and ends with `[DONE]`. An error before the first
 * object is thrown, so that it becomes an ordinary error response; a later one becomes the last event.
 *
 * @param work is ended when the client has gone or the stream has failed
 */
export async function eventStream(
  objects: AsyncGenerator<object>,
  work: Work,
  onError: (error: unknown) => void,
): Promise<Response> {
  const encoder = new TextEncoder();
  const line = (data: string): Uint8Array => encoder.encode(`data: ${data}\n\n`);
  let next: IteratorResult<object> | undefined = await objects.next().catch((error: unknown) => {
    work.abort();
    throw error;
  });
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await (next ?? objects.next());
        next = undefined;
        controller.enqueue(line(done ? "[DONE]" : JSON.stringify(value)));
        if (!done) return;
        controller.close();
        work.done();
      } catch (error) {
        if (!(error instanceof ApiError)) onError(error);
        controller.enqueue(line(JSON.stringify(errorBody(apiError(error)))));
        controller.close();
        work.abort();
      }
    },
    cancel: () => work.abort(),
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    },
  });
}
