/** The page's state over the server itself and a database of a browser: what one does, and what is kept of it. */
import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Chats, type Surroundings } from "../../src/web/store/chats.ts";
import { Saver } from "../../src/web/store/saver.ts";
import { memoryShelf, openShelf } from "../../src/web/store/shelf.ts";
import { pathOf, siblingsOf } from "../../src/web/store/talk.ts";
import { Talking } from "../../src/web/store/talking.ts";
import { emptyText, wholeText } from "../../src/web/store/text.ts";
import type { Conversation, Message } from "../../src/web/store/types.ts";
import { Writing } from "../../src/web/store/writing.ts";
import { templates } from "../support/tool-templates.ts";
import { serve } from "./support.ts";

let database = 0;
let notes: Map<string, string>;
beforeEach(() => {
  database++;
  notes = new Map();
});
afterEach(() => void vi.unstubAllGlobals());

const around = (): Surroundings => ({
  shelf: () => openShelf(`test-${database}`),
  notes: {
    getItem: (key) => notes.get(key) ?? null,
    setItem: (key, value) => void notes.set(key, value),
    removeItem: (key) => void notes.delete(key),
  },
  keys: undefined,
  others: { tell: () => {}, listen: () => {} },
});

/** A page that was just opened, on what earlier ones of the same test have kept. */
async function page(id?: string, probabilities = true) {
  const chats = new Chats(around());
  await chats.start(id);
  const path = (): readonly Message[] => {
    const { body } = chats.state.current;
    return body.kind === "chat" ? pathOf(body) : [];
  };
  const text = (): string => {
    const { body } = chats.state.current;
    return body.kind === "text" ? wholeText(body.segments) : "";
  };
  return {
    chats,
    path,
    text,
    said: () => path().map(({ role, text }) => `${role}: ${text}`),
    talking: new Talking(chats, () => probabilities),
    writing: new Writing(chats, () => probabilities),
    quiet: () => vi.waitFor(() => expect(chats.state.running.size).toBe(0), patient),
  };
}

/** For what comes in a moment, and on a busy machine late. */
const patient = { timeout: 25_000, interval: 5 };

const hello = "assistant: Hello, world! Grüße 🌍.";

describe("a talk", () => {
  it("is asked with its settings, answered, titled and kept", async () => {
    const model = serve({ contextLength: 1000 });
    const { chats, talking, said, path, quiet } = await page();
    chats.set({ system: "Be brief.", temperature: 0.5 });
    talking.send("Hi\nthere");
    expect(chats.state.running.has(chats.state.current.id)).toBe(true);
    await quiet();
    expect(said()).toEqual(["user: Hi\nthere", hello]);
    expect(path()[1]).toMatchObject({ finish: "stop", stats: { promptTokens: 34 } });
    expect(model.calls[0]!.options).toMatchObject({ temperature: 0.5, logprobs: 5 });
    expect(Buffer.from(model.calls[0]!.prompt.slice(1)).toString()).toBe(
      "system: Be brief.\nuser: Hi\nthere\n",
    );
    expect(chats.state.heads.map(({ title }) => title)).toEqual(["Hi"]);

    const again = await page(chats.state.current.id);
    expect(again.said()).toEqual(said());
    expect(again.chats.state.current.settings).toEqual({ system: "Be brief.", temperature: 0.5 });
  });

  it("branches where a question or an answer is tried again", async () => {
    const model = serve({ contextLength: 1000 });
    const { chats, talking, said, path, quiet } = await page();
    talking.send("Hi");
    await quiet();
    talking.regenerate(path()[1]!);
    await quiet();
    talking.edit(path()[0]!, "Ho");
    await quiet();
    expect(said()).toEqual(["user: Ho", hello]);
    talking.send("And?");
    await quiet();
    expect(Buffer.from(model.calls.at(-1)!.prompt.slice(1)).toString()).toBe(
      `user: Ho\n${hello}\nuser: And?\n`,
    );
    const { body } = chats.state.current;
    if (body.kind !== "chat") throw new Error("no talk");
    const [first] = siblingsOf(body, path()[0]!);
    talking.showBranch(first!);
    expect(said()).toEqual(["user: Hi", hello]);
    talking.remove(path()[1]!);
    expect(said()).toEqual(["user: Hi", hello]);
    talking.remove(path()[1]!);
    expect(said()).toEqual(["user: Hi"]);
    talking.answer(path()[0]!);
    await quiet();
    expect(said()).toEqual(["user: Hi", hello]);
  });

  it("keeps thoughts apart, has the probabilities of the answer alone, and sends both back", async () => {
    const { qwen3: template } = templates;
    const answer = "<think>\nHm, hm.\n</think>\n\nYes.";
    const model = serve({ contextLength: 1000, template, rendered: true, answer });
    const { talking, path, quiet } = await page();
    talking.send("Hi");
    await quiet();
    expect(path()[1]).toMatchObject({ reasoning: "Hm, hm.", text: "Yes." });
    expect(path()[1]!.tokens!.map(({ text }) => text)).toEqual([..."Yes.", ""]);
    talking.send("And?");
    await quiet();
    expect(Buffer.from(model.calls[1]!.prompt).toString()).toContain(answer);
  });

  it("stops, keeps what came, and goes on from there", async () => {
    const model = serve({ contextLength: 1000, delay: 5 });
    const { chats, talking, path, quiet } = await page();
    talking.send("Hi");
    await vi.waitFor(() => expect(path()[1]!.text.length).toBeGreaterThan(2), patient);
    chats.stop();
    await quiet();
    const { text, finish } = path()[1]!;
    expect(finish).toBe("stopped");
    expect("Hello, world! Grüße 🌍.".startsWith(text)).toBe(true);
    await vi.waitFor(() => expect(model.endings).toEqual(["abort"]), patient);
    talking.continue(path()[1]!);
    await quiet();
    // The model is written beforehand: it begins anew, behind what it said.
    expect(path()[1]!.text).toBe(`${text}Hello, world! Grüße 🌍.`);
    expect(Buffer.from(model.calls[1]!.prompt.slice(1)).toString()).toBe(`user: Hi\n${text}`);
    expect(
      path()[1]!
        .tokens!.map((token) => token.text)
        .join(""),
    ).toBe(path()[1]!.text);
    expect(path()[1]!.finish).toBe("stop");
  });

  it("shows an error where it happened, and answers when asked again", async () => {
    serve({ contextLength: 30 });
    const { talking, path, said, quiet } = await page();
    talking.send("x".repeat(40));
    await quiet();
    expect(path()[1]).toMatchObject({
      text: "",
      finish: "failed",
      failure: {
        status: 400,
        code: "context_length_exceeded",
        message: expect.stringMatching(/context of 30/),
      },
    });
    serve({ contextLength: 1000 });
    talking.regenerate(path()[1]!);
    await quiet();
    expect(said()).toEqual([`user: ${"x".repeat(40)}`, hello]);
  });

  it("goes on while another one is shown", async () => {
    serve({ contextLength: 1000, delay: 3 });
    const { chats, talking, said, quiet } = await page();
    talking.send("first");
    const { id } = chats.state.current;
    chats.draft();
    talking.send("second");
    expect(chats.state.running.size).toBe(2);
    await quiet();
    expect(said()).toEqual(["user: second", hello]);
    await chats.select(id);
    expect(said()).toEqual(["user: first", hello]);
    expect(chats.state.heads.map(({ title }) => title)).toContain("second");
  });

  it("does one thing at a time, whatever a view asks for that was drawn before", async () => {
    const model = serve({ contextLength: 1000, delay: 1 });
    const { talking, said, path, quiet } = await page();
    talking.send("Hi");
    talking.send("Hi");
    const [question, answer] = path();
    talking.regenerate(answer!);
    talking.continue(answer!);
    talking.edit(question!, "Ho");
    talking.remove(question!);
    await quiet();
    expect(said()).toEqual(["user: Hi", hello]);
    expect(model.calls).toHaveLength(1);
  });

  it("that its page left in the middle keeps what had come", async () => {
    serve({ contextLength: 1000, delay: 5 });
    const { chats, talking, path } = await page();
    talking.send("Hi");
    await vi.waitFor(() => expect(path()[1]!.text.length).toBeGreaterThan(4), patient);
    // What came since the last save goes with the page as a note.
    chats.leave();
    const kept = path()[1]!.text;
    const again = await page(chats.state.current.id);
    expect(again.path()[1]).toMatchObject({ finish: "interrupted" });
    expect(again.path()[1]!.text.startsWith(kept)).toBe(true);
    expect(notes.size).toBe(0);
    chats.stop();
  });
});

describe("a text", () => {
  it("is what a model without a template opens with, and is continued, again, undone and redone", async () => {
    const model = serve({ chats: false, contextLength: 1000 });
    const { chats, writing, text, quiet } = await page();
    expect(chats.state.current).toMatchObject({ body: { kind: "text" }, settings: { temperature: 0.8 } });
    writing.edit("Once");
    writing.continue();
    await quiet();
    expect(text()).toBe("OnceHello, world! Grüße 🌍.");
    expect(model.calls[0]!.options).toMatchObject({
      temperature: 0.8,
      topP: 0.95,
      maxTokens: 200,
      logprobs: 5,
    });
    writing.again();
    await quiet();
    expect(Buffer.from(model.calls[1]!.prompt.slice(1)).toString()).toBe("Once");
    writing.undo();
    writing.undo();
    expect(text()).toBe("Once");
    expect(writing.steps).toEqual({ back: true, forth: true });
    writing.redo();
    expect(text()).toBe("OnceHello, world! Grüße 🌍.");
    const again = await chats.export();
    expect(again).toContain("Once");
  });

  it("does not change under the model that goes on with it", async () => {
    const model = serve({ chats: false, contextLength: 1000, delay: 1 });
    const { writing, text, quiet } = await page();
    writing.continue();
    expect(text()).toBe("");
    writing.edit("Once");
    for (let i = 0; i < 2; i++) writing.continue();
    writing.again();
    writing.edit("Twice");
    writing.undo();
    await quiet();
    expect(text()).toBe("OnceHello, world! Grüße 🌍.");
    expect(model.calls).toHaveLength(1);
  });

  it("longer than the context is continued from as much of its end as fits", async () => {
    const model = serve({ chats: false, contextLength: 100 });
    const { writing, text, quiet } = await page();
    const long = "0123456789".repeat(30);
    writing.edit(long);
    writing.continue();
    await quiet();
    expect(text().startsWith(`${long}Hello, world! Grü`)).toBe(true);
    const [call] = model.calls;
    expect(call!.prompt).toHaveLength(75);
    // The mark of a beginning stays.
    expect(call!.prompt[0]).toBe(256);
    expect(call!.options.maxTokens).toBe(25);
  });

  it("is seen whole, however much may be written", async () => {
    const model = serve({ chats: false, contextLength: 100 });
    const { chats, writing, quiet } = await page();
    const long = "0123456789".repeat(7);
    for (const [maxTokens, text, written] of [
      [4000, long, 29],
      [4000, "Once", 95],
      [10, long, 10],
    ] as const) {
      chats.set({ maxTokens });
      writing.edit(text);
      writing.continue();
      await quiet();
      const { prompt, options } = model.calls.at(-1)!;
      expect(Buffer.from(prompt.slice(1)).toString()).toBe(text);
      expect(options.maxTokens).toBe(written);
    }
  });

  it("says why nothing came, and stands as it stood", async () => {
    serve({ chats: false, contextLength: 100 });
    const { chats, writing, text, quiet } = await page();
    chats.set({ maxTokens: 4000 });
    vi.stubGlobal("fetch", async () => Response.json({ error: { message: "no room" } }, { status: 429 }));
    writing.edit("Once");
    writing.continue();
    await quiet();
    expect(text()).toBe("Once");
    expect(chats.state.current.body).toMatchObject({ failure: { message: "no room", status: 429 } });
    writing.edit("Once more");
    expect(chats.state.current.body).not.toHaveProperty("failure");
  });
});

describe("the list", () => {
  it("renames, deletes, exports and imports", async () => {
    serve({ contextLength: 1000 });
    const { chats, talking, said, quiet } = await page();
    talking.send("Hi");
    await quiet();
    const { id } = chats.state.current;
    await chats.rename(id, "  My talk ");
    expect(chats.state.heads[0]!.title).toBe("My talk");
    const file = await chats.export();
    await chats.remove(id);
    expect(chats.state.heads).toEqual([]);
    expect(said()).toEqual([]);
    await chats.import(file);
    expect(chats.state.heads.map(({ title }) => title)).toEqual(["My talk"]);
    expect(chats.state.current.id).not.toBe(id);
    expect(said()).toEqual(["user: Hi", hello]);
    await chats.rename(chats.state.current.id, "");
    expect(chats.state.heads[0]!.title).toBe("Hi");
    await chats.import("{}");
    expect(chats.state.notice).toMatch(/Nothing was imported/);
    const again = await page();
    expect(again.chats.state.heads).toHaveLength(1);
  });

  it("does not bring back what was deleted while it was answered", async () => {
    serve({ contextLength: 1000, delay: 5 });
    const { chats, talking, quiet } = await page();
    talking.send("Hi");
    await chats.remove(chats.state.current.id);
    await quiet();
    expect((await page()).chats.state.heads).toEqual([]);
  });

  it("shows what was asked for last, however long the one before takes to read", async () => {
    serve({ contextLength: 1000 });
    const { chats, talking, quiet } = await page();
    const ids: string[] = [];
    for (const text of ["slow", "quick"]) {
      chats.draft();
      talking.send(text);
      ids.push(chats.state.current.id);
      await quiet();
    }
    const shelf = await openShelf(`test-${database}`);
    const load = async (id: string) => {
      if (id === ids[0]) await new Promise((resolve) => setTimeout(resolve, 50));
      return shelf.load(id);
    };
    const again = new Chats({ ...around(), shelf: async () => ({ ...shelf, load }) });
    await again.start(undefined);
    const slow = again.select(ids[0]!);
    await again.select(ids[1]!);
    await slow;
    expect(again.state.current.id).toBe(ids[1]);
  });

  it("renames what was gone on with, or deleted, while it was read", async () => {
    serve({ contextLength: 1000 });
    const { chats, talking, said, quiet } = await page();
    talking.send("Hi");
    await quiet();
    const { id } = chats.state.current;
    const shelf = await openShelf(`test-${database}`);
    let read = () => {};
    const held = new Promise<void>((resolve) => {
      read = resolve;
    });
    let loads = 0;
    const load = async (which: string) => {
      const found = await shelf.load(which);
      if (loads++ === 0) await held;
      return found;
    };
    const again = new Chats({ ...around(), shelf: async () => ({ ...shelf, load }) });
    await again.start(undefined);
    const renamed = again.rename(id, "Mine");
    await vi.waitFor(() => expect(loads).toBe(1), patient);
    await again.select(id);
    again.setOne("seed", 7);
    read();
    await renamed;
    expect(again.state.current).toMatchObject({ name: "Mine", settings: { seed: 7 } });
    again.draft();
    loads = 0;
    const gone = again.rename(id, "Theirs");
    await vi.waitFor(() => expect(loads).toBe(1), patient);
    await again.remove(id);
    await gone;
    expect(again.state.heads).toEqual([]);
    expect(said()).toHaveLength(2);
  });

  it("works, and says so, where nothing can be kept", async () => {
    serve({ contextLength: 1000 });
    const chats = new Chats({ ...around(), shelf: () => Promise.reject(new Error("private window")) });
    await chats.start(undefined);
    expect(chats.state.notice).toMatch(/private window/);
    new Talking(chats, () => false).send("Hi");
    await vi.waitFor(() => expect(chats.state.running.size).toBe(0), patient);
    expect(chats.state.heads).toHaveLength(1);
  });
});

describe("saving", () => {
  it("takes up what a page left, but not over what is newer", async () => {
    const shelf = memoryShelf();
    const [old, recent] = [1, 2].map((updated) => ({ id: "a", updated, body: emptyText }) as Conversation);
    const saver = new Saver(shelf, around().notes, () => {});
    for (const [note, kept] of [
      [recent, old],
      [old, recent],
    ]) {
      await shelf.save(kept!);
      notes.set("fovea.unsaved", JSON.stringify([note]));
      await saver.recover();
      expect((await shelf.load("a"))?.updated).toBe(2);
    }
    expect(notes.size).toBe(0);
  });

  it("tells of a failure, and does not try the same for ever", async () => {
    const problems: string[] = [];
    const shelf = { ...memoryShelf(), save: () => Promise.reject(new Error("the disk is full")) };
    const saver = new Saver(shelf, undefined, ({ message }) => problems.push(message));
    saver.save({ id: "a" } as Conversation);
    await saver.flush();
    await saver.flush();
    expect(problems).toEqual(["the disk is full"]);
  });
});
