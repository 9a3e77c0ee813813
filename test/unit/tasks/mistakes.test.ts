/** What programs in plain JavaScript get wrong first: each is refused by name, and says what is wanted. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LanguageModel, open, openTrainable } from "../../../src/index.ts";
import { tinyChat } from "../../support/tiny-chat.ts";

let checkpoint: Awaited<ReturnType<typeof tinyChat>>;
let model: LanguageModel;
beforeAll(async () => {
  checkpoint = await tinyChat();
  model = await open(checkpoint.folder, { device: "reference" });
});
afterAll(async () => {
  await model.close();
  checkpoint.remove();
});

/** As a program without types would hand it over. */
const any = (value: unknown) => value as never;

describe("what is none of the kind that is asked for", () => {
  it.each([undefined, null, 5, new URL("file:///model")])("a model: %s", async (what) => {
    await expect(open(any(what))).rejects.toThrow(/^model: must be a text: a folder/);
  });

  it.each([null, 5, "native"])("options: %j", async (options) => {
    await expect(open(checkpoint.folder, any(options))).rejects.toThrow(/^options: must be an object/);
  });

  it.each([null, 5, ""])("a name: %j", async (name) => {
    await expect(open(checkpoint.folder, { name: any(name) })).rejects.toThrow(/^name: must be a text, not/);
  });

  it.each([null, 5, "int4"])("a precision: %j", async (precision) => {
    await expect(open(checkpoint.folder, { precision: any(precision) })).rejects.toThrow(
      /^precision: must be one of f32, bf16, not/,
    );
  });

  it.each([undefined, null, 5, {}])("a model that learns: %s", async (what) => {
    await expect(openTrainable(any(what))).rejects.toThrow(/^what: must name a folder/);
  });

  it.each([undefined, null, 5, { text: "a" }])("a prompt: %s", async (prompt) => {
    await expect(model.generate(any(prompt)).result()).rejects.toThrow(/^prompt: must be a text or a list/);
  });

  it.each([undefined, "a text", 5])("ids: %s", async (ids) => {
    await expect(model.logits(any(ids))).rejects.toThrow(/^ids: must be a list of token ids/);
    await expect(model.score(any(ids))).rejects.toThrow(/^ids: must be a list of token ids/);
  });

  it.each([undefined, "Hello", { role: "user", content: "Hello" }])("messages: %j", async (messages) => {
    await expect(model.chat(any(messages)).result()).rejects.toThrow(/^messages: must be a list, such as/);
  });
});

describe("an option that is not there", () => {
  const messages = [{ role: "user", content: "a" }];

  it("is told with those that are, of sampling and others alike", async () => {
    const generation = model.generate("a", any({ max_tokens: 3 })).result();
    await expect(generation).rejects.toThrow(
      /^max_tokens: no such option; .*maxTokens, .*stop, .*temperature/,
    );
    await expect(generation).rejects.not.toThrow(/tools/);
    const chat = model.chat(messages, any({ tool: [] })).result();
    await expect(chat).rejects.toThrow(/^tool: no such option; .*maxTokens, .*tools/);
  });
});
