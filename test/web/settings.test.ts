/** What can be set is what the server takes, to the ends of each range. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { failureOf } from "../../src/web/api/failure.ts";
import { ask } from "../../src/web/api/stream.ts";
import {
  countOf,
  fieldsOf,
  numbers,
  parseStops,
  type Settings,
  seed,
  startOf,
  withSetting,
  writeStops,
} from "../../src/web/settings/settings.ts";
import { all, serve } from "./support.ts";

afterEach(() => void vi.unstubAllGlobals());

const { signal } = new AbortController();
const asked = (settings: Settings, kind: "chat" | "text") =>
  all(
    ask(
      kind === "chat" ? { kind, messages: [{ role: "user", content: "Hi" }] } : { kind, prompt: "Hi" },
      { fields: fieldsOf({ maxTokens: 2, ...settings }, kind), probabilities: false },
      signal,
    ),
  ).then(
    () => "answered",
    (error: unknown) => failureOf(error).message,
  );

describe("settings", () => {
  it("are all taken by the server, from end to end", async () => {
    const model = serve();
    for (const control of [...numbers, seed])
      for (const value of [control.min, control.max])
        for (const kind of ["chat", "text"] as const) {
          expect(await asked({ [control.key]: value }, kind), `${control.label} ${value}`).toBe("answered");
          expect(model.calls.at(-1)!.options).toMatchObject({ [control.key]: value });
        }
    expect(await asked({ stop: ["\n", "END"] }, "chat")).toBe("answered");
    expect(model.calls.at(-1)!.options.stop).toEqual(["\n", "END"]);
  });

  it("say what the server does without them", async () => {
    const model = serve();
    for (const { key, standard } of numbers) {
      await asked({ [key]: Number(standard) }, "chat");
      const set = model.calls.at(-1)!.options;
      expect({ ...set, signal: undefined }).toMatchObject({ [key]: standard });
    }
  });

  it("are sent only when they were made", () => {
    expect(fieldsOf({}, "chat")).toEqual({});
    expect(fieldsOf({}, "text")).toEqual({ max_tokens: 200 });
    expect(fieldsOf({ maxTokens: 9, system: "Hm", stop: [] }, "chat")).toEqual({ max_completion_tokens: 9 });
    expect(withSetting(withSetting({}, "topK", 3), "topK", undefined)).toEqual({});
  });

  it("count when they are not as they began", () => {
    for (const kind of ["chat", "text"] as const) {
      expect(countOf(startOf(kind), kind)).toBe(0);
      expect(countOf({ ...startOf(kind), topK: 3 }, kind)).toBe(1);
    }
    expect(countOf({ temperature: 1 }, "text")).toBe(2);
  });

  it("write stop texts one on a line, whatever is in them", () => {
    for (const stops of [["a"], ["\n\n", "b\\n", "\\", "\t"], [" x "]])
      expect(parseStops(writeStops(stops))).toEqual(stops);
    expect(parseStops("\n")).toBeUndefined();
    expect(parseStops("a\n\nb")).toEqual(["a", "b"]);
  });
});
