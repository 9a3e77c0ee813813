/** A file of conversations is taken whole or refused by name: it comes from anywhere. */
import { describe, expect, it } from "vitest";
import { exported, imported } from "../../src/web/store/transfer.ts";
import type { Conversation } from "../../src/web/store/types.ts";

const talk: Conversation = {
  id: "one",
  name: "A talk",
  created: 1,
  updated: 2,
  model: "m",
  settings: { temperature: 0, topK: 3, seed: 7, maxTokens: 9, stop: ["\n"], system: "Be brief." },
  body: {
    kind: "chat",
    leaf: "b",
    messages: {
      a: { id: "a", parent: null, role: "user", text: "Hi" },
      b: {
        id: "b",
        parent: "a",
        role: "assistant",
        text: "Ho",
        reasoning: "Hm",
        tokens: [{ text: "Ho", logprob: -1, top: [["Ho", -1]] }],
        finish: "stop",
        stats: { tokens: 1, firstMs: 2, ms: 3, promptTokens: 4 },
        failure: { message: "no" },
      },
    },
  },
};
const text: Conversation = {
  id: "two",
  created: 1,
  updated: 2,
  settings: {},
  body: {
    kind: "text",
    segments: [
      { from: "user", text: "Once" },
      { from: "model", text: " upon" },
    ],
  },
};

describe("a file of conversations", () => {
  it("brings back what was saved, under new ids", () => {
    const back = imported(exported([talk, text]));
    expect(back.map(({ id: _, ...rest }) => rest)).toEqual([talk, text].map(({ id: _, ...rest }) => rest));
    expect(back[0]!.id).not.toBe("one");
  });

  it("is refused by the name of what is wrong", () => {
    const broken = (change: object): string => {
      const { conversations, ...file } = JSON.parse(exported([talk, text]));
      return JSON.stringify({
        ...file,
        conversations: [{ ...conversations[0], ...change }, conversations[1]],
      });
    };
    const messages = {
      a: { id: "a", parent: "b", role: "user", text: "" },
      b: { id: "b", parent: "a", role: "user", text: "" },
    };
    const body = (value: object) => broken({ body: value });
    for (const [file, problem] of [
      ["{", /no JSON/],
      ["null", /the file must be an object/],
      ["{}", /holds no conversations/],
      [
        `{"format": "fovea-conversations", "version": 1, "conversations": [null]}`,
        /conversations\[0\] must be an object/,
      ],
      [broken({ created: "x" }), /conversations\[0\].created must be a number/],
      [broken({ settings: { topK: "3" } }), /settings.topK must be a number/],
      [broken({ settings: { stop: [3] } }), /settings.stop must be a text/],
      [body({ kind: "other" }), /body.kind must be/],
      [body({ kind: "text", segments: [{ from: "nobody", text: "" }] }), /from must be user or model/],
      [body({ kind: "text", segments: [{ from: "user", text: {} }] }), /text must be a text/],
      [
        body({ kind: "text", segments: [{ from: "user", text: "", tokens: [{ text: "" }] }] }),
        /logprob must be a number/,
      ],
      [body({ kind: "chat", leaf: "a", messages }), /messages.a does not hang together/],
      [body({ kind: "chat", leaf: "a", messages: {} }), /leaf is no message/],
    ] as const)
      expect(() => imported(file), file).toThrow(problem);
  });
});
