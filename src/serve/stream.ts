/**
 * Several generations as one stream of events, and a stream of objects as a response.
 * Knows async iteration; must not know what the objects say, or how they are written.
 */
import type { Work } from "./context.ts";
import { type Dialect, openai, streamHeaders } from "./dialect.ts";
import { ApiError, apiError } from "./errors.ts";

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
    // Nobody will read on: whoever watches a source is told so.
    for (const iterator of iterators) iterator.return?.().catch(() => {});
  }
}

/**
 * A response that streams the objects as the dialect writes them. An error before the first object is thrown, so
 * that it becomes an ordinary error response; a later one becomes the last object.
 *
 * @param work is ended when the client has gone or the stream has failed
 */
export async function eventStream(
  objects: AsyncGenerator<object>,
  work: Work,
  onError: (error: unknown) => void,
  dialect: Dialect = openai,
): Promise<Response> {
  const encoder = new TextEncoder();
  let next: IteratorResult<object> | undefined = await objects.next();
  let left = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await (next ?? objects.next());
        next = undefined;
        if (left) return;
        const text = done ? dialect.end : dialect.write(value);
        if (text !== "") controller.enqueue(encoder.encode(text));
        if (!done) return;
        controller.close();
        work.done();
      } catch (error) {
        // What comes of work that was ended because nobody waits for it is no failure.
        if (left) return;
        if (!(error instanceof ApiError)) onError(error);
        controller.enqueue(encoder.encode(dialect.write(dialect.error(apiError(error, dialect)))));
        controller.close();
        work.abort();
      }
    },
    cancel() {
      left = true;
      work.abort();
      objects.return(undefined).catch(() => {});
    },
  });
  return new Response(body, { headers: streamHeaders(dialect.contentType) });
}
