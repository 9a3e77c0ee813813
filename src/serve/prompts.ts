/**
 * The `prompt` of a text completion in its four forms, as token ids, and what `echo` tells of it.
 * Knows the model's tokenizer; must not know generation.
 */
import { ParameterError } from "../base/errors.ts";
import type { LanguageModel } from "../tasks/types.ts";
import type { ServeContext } from "./context.ts";
import { invalid } from "./errors.ts";
import type { PlacedToken } from "./logprobs.ts";
import { mostChoices, tokenIds } from "./parameters.ts";

export interface Prompt {
  readonly ids: readonly number[];
  readonly text: string;
}

/** A string, a list of strings, token ids, or a list of lists of token ids. */
export async function parsePrompts({ model, tokenizer }: ServeContext, value: unknown): Promise<Prompt[]> {
  const fromText = async (text: string): Promise<Prompt> => {
    try {
      return { ids: await model.encode(text, { most: model.contextLength }), text };
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      throw invalid(error.parameter, error.problem, "context_length_exceeded");
    }
  };
  const fromIds = (ids: unknown, name: string): Prompt => {
    const checked = tokenIds(ids, name, model.vocabularySize);
    return { ids: checked, text: tokenizer.decode(checked, { skipSpecial: true }) };
  };
  let prompts: Prompt[];
  if (typeof value === "string") prompts = [await fromText(value)];
  else if (!Array.isArray(value) || value.length === 0)
    throw invalid(
      "prompt",
      "must be a string, a list of strings, token ids, or a list of lists of token ids",
    );
  else if (typeof value[0] === "number") prompts = [fromIds(value, "prompt")];
  else if (value.length > mostChoices) throw invalid("prompt", `takes at most ${mostChoices} prompts`);
  else
    prompts = await Promise.all(
      (value as unknown[]).map((item, i) =>
        typeof item === "string" ? fromText(item) : fromIds(item, `prompt[${i}]`),
      ),
    );
  for (const { ids } of prompts)
    if (ids.length === 0)
      throw invalid("prompt", "is empty: the model needs at least one token to begin with");
  return prompts;
}

/** Refuses a prompt that leaves no room for `maxTokens` in the context. */
export function checkContext(model: LanguageModel, prompts: readonly Prompt[], maxTokens: number): void {
  for (const { ids } of prompts)
    if (ids.length + maxTokens > model.contextLength)
      throw invalid(
        maxTokens > 0 && ids.length < model.contextLength ? "max_tokens" : "prompt",
        `${ids.length} tokens of the prompt and ${maxTokens} new ones exceed the model's context of ${model.contextLength}`,
        "context_length_exceeded",
      );
}

/** The log-probability of each token of the prompt given those before it; the first has none. */
export async function promptLogprobs(
  { model, tokenizer }: ServeContext,
  { ids }: Prompt,
  top: number,
  signal: AbortSignal,
): Promise<PlacedToken[]> {
  const scored = await model.logprobs(ids, { top, signal });
  const detokenizer = tokenizer.detokenizer({ skipSpecial: true });
  let offset = 0;
  return ids.map((token, i) => {
    const one = scored[i - 1];
    const placed: PlacedToken = { token, logprob: one?.logprob ?? null, top: one?.top, offset };
    offset += detokenizer.push(token).length;
    return placed;
  });
}
