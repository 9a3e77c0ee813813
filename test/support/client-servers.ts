/**
 * Servers on real sockets for tests of real clients: models whose answers are known, and a tiny one that says noise,
 * except where a grammar decides.
 */
import { afterAll, beforeAll } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { type Listening, listen } from "../../src/serve/listen.ts";
import { open } from "../../src/tasks/open.ts";
import type { LanguageModel } from "../../src/tasks/types.ts";
import { tinyChat } from "./tiny-chat.ts";

/** A template that shows tools and asks for calls of the Hermes kind. */
export const toolTemplate = "{% for tool in tools %}{{ tool }}{% endfor %}<tool_call>";

/** A call as such a model writes it. */
export const toolCall = (name: string, given: object): string =>
  `<tool_call>\n${JSON.stringify({ name, arguments: given })}\n</tool_call>`;

/** Serves the models, and the tiny one, while the tests of this file run. */
export function clientServers(...models: readonly LanguageModel[]) {
  const servers = new Map<LanguageModel, Listening>();
  let tiny: LanguageModel;
  let remove: () => void;
  const add = async (model: LanguageModel): Promise<void> => {
    servers.set(model, await listen(createApp(model), { host: "127.0.0.1", port: 0 }));
  };
  beforeAll(async () => {
    const made = await tinyChat();
    remove = made.remove;
    tiny = await open(made.folder, { threads: 1 });
    for (const model of [...models, tiny]) await add(model);
  });
  afterAll(async () => {
    for (const server of servers.values()) await server.close(0);
    await tiny.close();
    remove();
  });
  return {
    add,
    /** Where the OpenAI-compatible API of a model is. */
    url: (model: LanguageModel): string => `${servers.get(model)!.url}/v1`,
    get tiny(): LanguageModel {
      return tiny;
    },
  };
}
