/** Lets others watch the generations of a model: counters, traces. Knows generations; must not know what is made of them. */
import type { Generation, GenerationResult, LanguageModel, TokenEvent } from "../tasks/types.ts";

/** What follows one generation. */
export interface Watch {
  token(): void;
  /** Called once: with the result, an error, or undefined when nobody waits for the rest. */
  end(outcome: GenerationResult | Error | undefined): void;
}

/** Called when a generation begins to run. */
export type Observer = (model: LanguageModel) => Watch;

/** The same model, with its generations watched. */
export function observe(model: LanguageModel, observers: readonly Observer[]): LanguageModel {
  const watched = (generation: Generation): Generation => {
    const source = events(generation, () => observers.map((begin) => begin(model)));
    return {
      events: () => source,
      async *[Symbol.asyncIterator]() {
        let sent = 0;
        for await (const { text } of source) {
          sent += text.length;
          if (text !== "") yield text;
        }
        const { text } = await generation.result();
        if (text.length > sent) yield text.slice(sent);
      },
      async result() {
        for await (const _ of source);
        return generation.result();
      },
    };
  };
  const own: Partial<LanguageModel> = {
    generate: (...args) => watched(model.generate(...args)),
    chat: (...args) => watched(model.chat(...args)),
  };
  return new Proxy(model, {
    get(_, name) {
      if (Object.hasOwn(own, name)) return own[name as keyof LanguageModel];
      const value: unknown = Reflect.get(model, name);
      return typeof value === "function" ? value.bind(model) : value;
    },
  });
}

async function* events(generation: Generation, begin: () => Watch[]): AsyncGenerator<TokenEvent> {
  const watches = begin();
  let outcome: GenerationResult | Error | undefined;
  try {
    for await (const event of generation.events()) {
      for (const watch of watches) watch.token();
      yield event;
    }
    outcome = await generation.result();
  } catch (error) {
    outcome = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    for (const watch of watches) watch.end(outcome);
  }
}
