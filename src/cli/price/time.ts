/** Times requests: of a model here, or of one behind an API. Output lengths are forced, and checked. */
import { FoveaError } from "../../base/errors.ts";
import type { LanguageModel } from "../../tasks/types.ts";
import { pseudoRandom } from "../measure.ts";
import type { TimeRequest } from "./rounds.ts";

/** A prompt of known length, another one each time, so that no cache knows its beginning. */
let asked = 0;
function freshPrompt(length: number, vocabulary: number): number[] {
  const salt = asked++ * 65_536;
  return Array.from({ length }, (_, i) => pseudoRandom(salt + i) % vocabulary);
}

/** One greedy generation, until its last token is there. */
export const timeModel =
  (model: LanguageModel, signal: AbortSignal): TimeRequest =>
  async (prompt, output) => {
    const ids = freshPrompt(prompt, model.vocabularySize);
    const options = { temperature: 0, maxTokens: output, ignoreEnd: true, signal };
    let written = 0;
    const started = performance.now();
    for await (const _ of model.generate(ids, options).events()) written++;
    const taken = performance.now() - started;
    signal.throwIfAborted();
    if (written !== output)
      throw new FoveaError(`the model wrote ${written} tokens in place of ${output}; nothing can be timed`);
    return taken;
  };

export interface Endpoint {
  /** Base address of the API, ending in `/v1`. */
  readonly url: string;
  readonly model: string;
  /** Token ids are taken from 0 to this. */
  readonly vocabulary: number;
  readonly apiKey: string | undefined;
}

/**
 * A request that is not streamed: a server may hold the first pieces of a stream back. The prompt is token ids, so that
 * its length is known.
 */
export const timeEndpoint =
  ({ url, model, vocabulary, apiKey }: Endpoint, signal: AbortSignal): TimeRequest =>
  async (prompt, output) => {
    const body = JSON.stringify({
      model,
      prompt: freshPrompt(prompt, vocabulary),
      max_tokens: output,
      temperature: 0,
      ignore_eos: true,
    });
    const headers = {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    };
    const started = performance.now();
    const response = await fetch(`${url}/completions`, { method: "POST", headers, body, signal });
    const text = await response.text();
    const taken = performance.now() - started;
    if (!response.ok) throw new FoveaError(`${url} answered ${response.status}: ${text.slice(0, 300)}`);
    const { usage } = JSON.parse(text) as { usage?: { prompt_tokens?: number; completion_tokens?: number } };
    if (usage?.completion_tokens !== output || usage.prompt_tokens !== prompt)
      throw new FoveaError(
        `${url} counts ${usage?.prompt_tokens} and ${usage?.completion_tokens} tokens where ${prompt} and ${output} were asked for; nothing can be timed`,
      );
    return taken;
  };
