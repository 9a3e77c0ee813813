/** A cache that has less room than the context: what fits it is generated, and what cannot fit is refused. */
import { expect, it } from "vitest";
import { open } from "../../../src/index.ts";
import { tinyChat } from "../../support/tiny-chat.ts";

it("goes on as far as the cache has room where nobody says how far", async () => {
  const { folder, remove } = await tinyChat();
  const model = await open(folder, { device: "reference", cacheTokens: 24 });
  try {
    expect(model.contextLength).toBeGreaterThan(24);
    const { tokens, finishReason } = await model.generate([5, 6, 7, 8], { ignoreEnd: true }).result();
    expect([tokens.length, finishReason]).toEqual([20, "length"]);
    await expect(model.generate([5, 6, 7, 8], { maxTokens: 21 }).result()).rejects.toThrow(
      /4 tokens of the prompt and 21 new ones exceed the cache of 24/,
    );
    const long = Array.from({ length: 30 }, () => 5);
    await expect(model.generate(long).result()).rejects.toThrow(/30 tokens .* exceed the cache of 24/);
  } finally {
    await model.close();
    remove();
  }
});
