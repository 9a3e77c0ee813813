/** POST /v1/completions, over a model whose answers are known. */
import { describe, expect, it } from "vitest";
import { events, messages, server, textPath } from "../support/app.ts";

describe("text completions", () => {
  const choicesOf = async (response: Response) =>
    ((await response.json()) as { choices: { index: number; text: string; finish_reason: string }[] })
      .choices;

  it("takes the prompt in its four forms", async () => {
    const forms: [unknown, number[][]][] = [
      ["AB", [[256, 65, 66]]],
      [
        ["A", "B"],
        [
          [256, 65],
          [256, 66],
        ],
      ],
      [[65, 66], [[65, 66]]],
      [
        [[65], [66, 67]],
        [[65], [66, 67]],
      ],
    ];
    for (const [prompt, ids] of forms) {
      const { send, model } = server();
      const choices = await choicesOf(await send(textPath, { prompt, max_tokens: 5, n: 2 }));
      expect(model.calls.map((c) => c.prompt)).toEqual(ids.flatMap((p) => [p, p]));
      expect(choices.map((c) => c.index)).toEqual(choices.map((_, i) => i));
      expect(choices.every((c) => c.text === "Hello" && c.finish_reason === "length")).toBe(true);
    }
  });

  it("continues by 16 tokens when nothing is said", async () => {
    const { send, model } = server();
    await send(textPath, { prompt: "A" });
    expect(model.calls[0]?.options.maxTokens).toBe(16);
  });

  it("echoes, with log-probabilities of the prompt", async () => {
    const { send } = server({ answer: "xyz" });
    const [choice] = (
      (await (await send(textPath, { prompt: "AB", echo: true, logprobs: 1, max_tokens: 2 })).json()) as {
        choices: { text: string; logprobs: Record<string, unknown[]> }[];
      }
    ).choices;
    expect(choice?.text).toBe("ABxy");
    expect(choice?.logprobs.tokens).toEqual(["<s>", "A", "B", "x", "y"]);
    expect(choice?.logprobs.text_offset).toEqual([0, 0, 1, 2, 3]);
    expect(choice?.logprobs.token_logprobs?.[0]).toBeNull();
    // A row of the fake is k/3, so ln Σ e^(k/3) over 258 entries is 257/3 − ln(1 − e^(−1/3)).
    const normalizer = 257 / 3 - Math.log(1 - Math.exp(-1 / 3));
    expect(choice?.logprobs.token_logprobs?.[1]).toBeCloseTo(65 / 3 - normalizer, 4);
    expect(choice?.logprobs.top_logprobs?.[1]).toHaveProperty("</s>");
    expect(choice?.logprobs.token_logprobs?.slice(3)).toEqual([-0.5, -0.5]);
  });

  it("scores without generating", async () => {
    const { send, model } = server();
    const [choice] = await choicesOf(
      await send(textPath, { prompt: "AB", echo: true, logprobs: 0, max_tokens: 0 }),
    );
    expect(choice).toMatchObject({ text: "AB", finish_reason: "length" });
    expect(model.calls).toHaveLength(0);
  });

  it("streams several prompts, each in order", async () => {
    const { send } = server({ delay: 1 });
    const lines = await events(
      await send(textPath, {
        prompt: ["A", "B"],
        max_tokens: 27,
        stream: true,
        echo: true,
        stream_options: { include_usage: true },
      }),
    );
    expect(lines.pop()).toBe("[DONE]");
    const chunks = lines.map((line) => JSON.parse(line));
    const of = (index: number) => chunks.filter((c) => c.choices[0]?.index === index);
    expect(
      of(0)
        .map((c) => c.choices[0].text)
        .join(""),
    ).toBe("AHello, world! Grüße 🌍.");
    expect(
      of(1)
        .map((c) => c.choices[0].text)
        .join(""),
    ).toBe("BHello, world! Grüße 🌍.");
    expect(of(1).at(-1).choices[0].finish_reason).toBe("length");
    expect(chunks.at(-1).usage).toEqual({ prompt_tokens: 4, completion_tokens: 54, total_tokens: 58 });
  });

  it("distinguishes tokens that are no whole characters", async () => {
    const { send } = server({ answer: "é" });
    const body = (await (await send(textPath, { prompt: "A", logprobs: 0, max_tokens: 2 })).json()) as {
      choices: { logprobs: { tokens: string[] } }[];
    };
    expect(body.choices[0]?.logprobs.tokens).toEqual(["bytes:\\xc3", "bytes:\\xa9"]);
  });

  const hopeless: [string, object][] = [
    ["prompt", {}],
    ["prompt", { prompt: [] }],
    ["prompt", { prompt: [1, "a"] }],
    ["prompt[1]", { prompt: ["a", 1] }],
    ["prompt", { prompt: [999] }],
    ["prompt", { prompt: "x".repeat(200) }],
    ["max_tokens", { prompt: "a", max_tokens: 200 }],
    ["max_tokens", { prompt: "a", max_tokens: 0 }],
    ["suffix", { prompt: "a", suffix: "b" }],
    ["best_of", { prompt: "a", best_of: 3 }],
    ["logprobs", { prompt: "a", logprobs: true }],
    ["n", { prompt: ["a", "b"], n: 100 }],
    ["messages", { prompt: "a", messages }],
  ];
  it.each(hopeless)("refuses %s by name", async (param, body) => {
    const { refused } = server();
    expect((await refused(textPath, body)).param).toBe(param);
  });
});
