/** A prompt's text as ids, without reading all of a text that is far too long. Knows tokenizers; must not know models. */
import { ParameterError } from "../base/errors.ts";
import type { EncodeOptions, Tokenizer } from "../checkpoint/tokenizer/index.ts";

/**
 * Programs in plain JavaScript hand over whatever they hold.
 *
 * @throws ParameterError where that is no list of token ids
 */
export function needIds(ids: readonly number[], parameter: string, instead: string): readonly number[] {
  if (Array.isArray(ids) || ids instanceof Uint32Array || ids instanceof Int32Array) return ids;
  throw new ParameterError(parameter, `must be ${instead}, not ${ids === null ? "null" : typeof ids}`);
}

/** A prompt that is made already, where messages could stand as well. */
export const isIds = (prompt: readonly object[] | readonly number[]): prompt is readonly number[] =>
  typeof prompt?.[0] === "number";

/** Characters for each token of the context that are looked at first: about what prose has. */
const FIRST = 4;

/**
 * The ids of a text, which may exceed the context by a little.
 *
 * @throws ParameterError where there are more than twice as many as the context takes: to find all of a text's tokens
 * takes seconds for each few megabytes, and keeps everybody else waiting
 */
export function promptIds(
  tokenizer: Tokenizer,
  text: string,
  context: number,
  options?: EncodeOptions,
): number[] {
  // Beginnings that grow, so that it costs no more than a fraction of what fits or what is refused.
  for (let length = FIRST * context; length < text.length; length *= 4) {
    const { length: tokens } = tokenizer.encode(text.slice(0, length), options);
    // Where a text is cut, tokens can differ from those of the whole, by a few.
    if (tokens > 2 * context)
      throw new ParameterError(
        "prompt",
        `has more than ${2 * context} tokens, but the model's context is ${context}`,
      );
  }
  return tokenizer.encode(text, options);
}
