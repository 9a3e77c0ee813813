/** A talk is a tree: nothing that was said is lost by saying it otherwise. */
import { describe, expect, it } from "vitest";
import { add, change, emptyTalk, pathOf, remove, show, siblingsOf } from "../../src/web/store/talk.ts";
import type { Talk } from "../../src/web/store/types.ts";

const said = (text: string) => ({ role: "user", text }) as const;
const texts = (talk: Talk) => pathOf(talk).map(({ text }) => text);

/** a → b → c, and a2 beside a with b2. */
function grown() {
  const [one, a] = add(emptyTalk, null, said("a"));
  const [two, b] = add(one, a, said("b"));
  const [three, c] = add(two, b, said("c"));
  const [four, a2] = add(three, null, said("a2"));
  const [talk, b2] = add(four, a2, said("b2"));
  return { talk, a, b, c, a2, b2 };
}

describe("a talk", () => {
  it("shows the branch of its last message, and knows what lies beside", () => {
    const { talk, a, a2 } = grown();
    expect(texts(talk)).toEqual(["a2", "b2"]);
    expect(siblingsOf(talk, talk.messages[a2]!).map(({ id }) => id)).toEqual([a, a2]);
    expect(texts(show(talk, a))).toEqual(["a", "b", "c"]);
    expect(texts(emptyTalk)).toEqual([]);
  });

  it("shows the newest end of a branch", () => {
    const { talk, a } = grown();
    const [more] = add(talk, a, said("other b"));
    expect(texts(show(more, a))).toEqual(["a", "other b"]);
  });

  it("loses with a message what follows it, and shows what lies beside or before", () => {
    const { talk, a, b, a2, b2 } = grown();
    expect(texts(remove(talk, b2))).toEqual(["a2"]);
    expect(texts(remove(talk, a2))).toEqual(["a", "b", "c"]);
    const shown = show(talk, a);
    expect(Object.keys(remove(shown, b).messages)).toHaveLength(3);
    // A branch that is not shown may go without a word.
    expect(texts(remove(talk, a))).toEqual(["a2", "b2"]);
    expect(texts(remove(remove(talk, a), a2))).toEqual([]);
    expect(remove(talk, "nobody")).toBe(talk);
  });

  it("changes one message and keeps the others as they are", () => {
    const { talk, a, b } = grown();
    const changed = change(talk, a, (message) => ({ ...message, text: "A" }));
    expect(changed.messages[a]!.text).toBe("A");
    expect(changed.messages[b]).toBe(talk.messages[b]);
    expect(change(talk, "nobody", (message) => message)).toBe(talk);
  });
});
