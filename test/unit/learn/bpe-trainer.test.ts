/** The BPE trainer: merges counted by hand and by a plain trainer; files that other readers agree on. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as library from "@huggingface/tokenizers";
import { afterAll, describe, expect, it } from "vitest";
import { openTokenizer } from "../../../src/checkpoint/tokenizer/index.ts";
import {
  END_OF_TEXT,
  type TrainedBpe,
  trainBpe,
  trainingCut,
  WordCounts,
  writeTokenizer,
} from "../../../src/learn/text/index.ts";
import { filesUnder, readSource } from "../../support/sources.ts";

const folder = mkdtempSync(join(tmpdir(), "fovea-bpe-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Counts all pairs anew for each merge. */
function plainTrainer(counts: ReadonlyMap<string, number>, wanted: number): string[] {
  const words = [...counts].map(([word, count]) => ({
    tokens: Array.from(Buffer.from(word), (byte) => String.fromCharCode(byte)),
    count,
  }));
  const tokens = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  while (tokens.length < wanted) {
    const pairs = new Map<string, { left: string; right: string; count: number }>();
    for (const { tokens: word, count } of words)
      for (let i = 0; i + 1 < word.length; i++) {
        const [left, right] = [word[i]!, word[i + 1]!];
        const key = JSON.stringify([left, right]);
        const pair = pairs.get(key) ?? { left, right, count: 0 };
        pairs.set(key, { ...pair, count: pair.count + count });
      }
    const id = (token: string): number => tokens.indexOf(token);
    const [best] = [...pairs.values()].sort(
      (a, b) => b.count - a.count || id(a.left) - id(b.left) || id(a.right) - id(b.right),
    );
    if (best === undefined || best.count < 2) break;
    const made = best.left + best.right;
    if (!tokens.includes(made)) tokens.push(made);
    for (const word of words)
      for (let i = 0; i + 1 < word.tokens.length; i++)
        if (word.tokens[i] === best.left && word.tokens[i + 1] === best.right) word.tokens.splice(i, 2, made);
  }
  return tokens;
}

const countsOf = (text: string): ReadonlyMap<string, number> => {
  const words = new WordCounts(trainingCut());
  words.add(text);
  return words.counts;
};

const prose = filesUnder("docs")
  .filter((path) => path.endsWith(".md"))
  .map(readSource)
  .join("\n");

describe("merges", () => {
  it("are those that one counts by hand", () => {
    // Sennrich et al. 2016, figure 1, without its end-of-word mark.
    const { tokens, merges } = trainBpe(
      new Map([
        ["low", 5],
        ["lower", 2],
        ["newest", 6],
        ["widest", 3],
      ]),
      { tokens: 256 + 4 },
    );
    expect(tokens.slice(256)).toEqual(["es", "est", "lo", "low"]);
    expect(merges[1]).toEqual([256, "t".charCodeAt(0)]);
  });

  it("are those of a trainer that counts everything anew", () => {
    const counts = countsOf(`${prose.slice(0, 6000)} aaaa aaaaaaa aaa abababab bananananas`);
    const wanted = 256 + 150;
    expect(trainBpe(counts, { tokens: wanted }).tokens).toEqual(plainTrainer(counts, wanted));
  });

  it("end where no pair occurs twice, and depend on counts alone", () => {
    const counts = new Map([
      ["abc", 2],
      ["xyz", 1],
      ["bcd", 2],
    ]);
    const trained = trainBpe(counts, { tokens: 400 });
    expect(trained.tokens.slice(256)).toEqual(["bc", "abc", "bcd"]);
    expect(trainBpe(new Map([...counts].reverse()), { tokens: 400 })).toEqual(trained);
    expect(() => trainBpe(counts, { tokens: 255 })).toThrow(/tokens: must be between 256/);
  });
});

describe("counting", () => {
  it("gives the same counts whole and in slices", () => {
    const long = "The quick brown fox, it's said,\n\njumps 1234 times.\n  Over\nthe dog.\n".repeat(3000);
    const words = new WordCounts(trainingCut());
    words.add(long);
    const whole = new Map<string, number>();
    for (const word of trainingCut()(long, true)) whole.set(word, (whole.get(word) ?? 0) + 1);
    expect(words.counts).toEqual(whole);
  });
});

describe("the files", () => {
  const trained: TrainedBpe = trainBpe(countsOf(prose), { tokens: 1200 });
  writeTokenizer(folder, trained, 512);
  const read = (name: string): object => JSON.parse(readFileSync(join(folder, name), "utf8")) as object;
  const theirs = new (
    library as unknown as {
      Tokenizer: new (
        json: object,
        config: object,
      ) => {
        encode(text: string): { ids: number[]; tokens: string[] };
        decode(ids: number[], options?: object): string;
      };
    }
  ).Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
  const ours = openTokenizer(folder)!;
  const texts = [
    "",
    " ",
    "The bits never depend on the batch.",
    "  two spaces\n\n\nthree lines\t\ttabs \r\n ",
    "It's WE'LL they'd I'm 's 12345678 3.14159 -0.5e-7",
    "naïve café — “quotes” … ﬁn ½ Ⅷ",
    "日本語のテキスト、한국어, Ελληνικά, עברית, العربية",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 \u0000\u0007\uFEFF\u200B",
    `one${END_OF_TEXT}two ${END_OF_TEXT}`,
    "https://example.org/a_b?c=d&e=%20f#g `code` **bold** {[(<>)]}",
    prose.slice(0, 20_000),
    readSource("src/learn/text/bpe-trainer.ts"),
  ];

  it.each(texts.map((text, i) => [i, text]))("are read alike by two readers: text %i", (_, text) => {
    const ids = ours.encode(text);
    expect(ids).toEqual(theirs.encode(text).ids);
    expect(ours.decode(ids)).toBe(text);
  });

  it("say what the special token is for", () => {
    expect(ours.vocabSize).toBe(1201);
    expect(ours.bos).toBe(0);
    expect(ours.eos).toEqual([0]);
    expect(ours.isSpecial(0)).toBe(true);
    expect(ours.encode("a")).toHaveLength(1);
    // Prose of the kind it was trained on takes far fewer tokens than bytes.
    expect(ours.encode(prose).length).toBeLessThan(Buffer.byteLength(prose) / 2.5);
  });
});
