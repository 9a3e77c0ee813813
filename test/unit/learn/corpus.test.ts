/** Corpora: what archives and folders give, what cleaning leaves, tokens on disk, and the order of windows. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  cleanBook,
  type Document,
  isHeldOut,
  readCorpus,
  TokenFile,
  TokenFileWriter,
  Windows,
} from "../../../src/learn/text/index.ts";
import { haveShared, shared } from "../../support/shared.ts";

const folder = mkdtempSync(join(tmpdir(), "fovea-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

const documents = async (path: string): Promise<Document[]> => {
  const all: Document[] = [];
  for await (const document of readCorpus(path)) all.push(document);
  return all;
};

const long = `${"a".repeat(90)}/${"b".repeat(90)}.md`;
const texts = new Map([
  ["a/one.txt", "First.\n"],
  ["a/two.md", `# Second\n${"long ".repeat(5000)}`],
  ["b/Ünïcode ✓.txt", "Größe — naïve\n"],
  ["empty.txt", ""],
  [long, "deep\n"],
]);
const source = join(folder, "source");
for (const [name, text] of [...texts, ["a/picture.png", "no text"], [".hidden.txt", "hidden"]] as const) {
  mkdirSync(join(source, name, ".."), { recursive: true });
  writeFileSync(join(source, name), text);
}
const sorted = (all: readonly Document[]) =>
  all.map(({ name, text }) => [name, text]).sort(([a], [b]) => (a! < b! ? -1 : 1));
const expected = [...texts].sort(([a], [b]) => (a < b ? -1 : 1));

describe("a corpus", () => {
  it("is a folder of text, in the order of names", async () => {
    const read = await documents(source);
    expect(read.map(({ name, text }) => [name, text])).toEqual(expected);
  });

  it.each([
    ["gnu", "plain.tar", "-cf"],
    ["ustar", "zipped.tar.gz", "-czf"],
    ["pax", "posix.tgz", "-czf"],
  ])("is an archive that tar made: %s", async (format, name, how) => {
    const path = join(folder, name);
    execFileSync("tar", [`--format=${format}`, "--exclude=.hidden.txt", how, path, "-C", source, "."]);
    expect(sorted(await documents(path))).toEqual(expected);
    truncateSync(path, 300);
    await expect(documents(path)).rejects.toThrow();
  });

  it.skipIf(!existsSync("/proc/self/fd"))("is closed when no more of it is wanted", async () => {
    writeFileSync(join(folder, "first.txt"), "First.\n");
    writeFileSync(join(folder, "noise.bin"), randomBytes(6 << 20));
    const path = join(folder, "large.tar.gz");
    execFileSync("tar", ["-czf", path, "-C", folder, "first.txt", "noise.bin"]);
    const isOpen = () =>
      readdirSync("/proc/self/fd").some((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`) === path;
        } catch {
          return false; // closed meanwhile
        }
      });
    for await (const { text } of readCorpus(path)) {
      expect(text).toBe("First.\n");
      expect(isOpen()).toBe(true);
      break;
    }
    await expect.poll(isOpen).toBe(false);
  });

  it("is a file of text", async () => {
    const path = join(source, "a/one.txt");
    expect(await documents(path)).toEqual([{ name: path, text: "First.\n" }]);
  });

  it("is refused, by name, where it is none", async () => {
    const path = join(folder, "bad.txt");
    writeFileSync(path, Uint8Array.of(0x61, 0xff));
    await expect(documents(path)).rejects.toThrow(/bad\.txt: is not UTF-8/);
    await expect(documents(join(folder, "absent"))).rejects.toThrow(/absent: no such file/);
    const archive = join(folder, "no.tar");
    writeFileSync(archive, new Uint8Array(1024).fill(7));
    await expect(documents(archive)).rejects.toThrow(/no\.tar: is no tar archive/);
  });

  it.skipIf(!haveShared)("is an xz archive, as the system's tar reads it", async () => {
    const path = shared("data/docs.tar.xz");
    const names = execFileSync("tar", ["-tJf", path], { encoding: "utf8" }).trim().split("\n");
    const wanted = names.filter((name) => /\.(txt|md)$/.test(name));
    const read = await documents(path);
    expect(read.map(({ name }) => name).sort()).toEqual(
      wanted.map((name) => name.replace(/^\.\//, "")).sort(),
    );
    const { name, text } = read.at(-1)!;
    const entry = names.find((entry) => entry.endsWith(name))!;
    expect(text).toBe(execFileSync("tar", ["-xJOf", path, entry], { encoding: "utf8", maxBuffer: 1 << 28 }));
  });
});

describe("a cleaned book", () => {
  it("is its prose, without marks and what stands around it", () => {
    const book =
      "# Title: A_B\n\n## Author: C\n\n## Year: 1900\n\n-------\n\n##  CHAPTER I  \n\n_We_ said **no** *never*. \r\n\r\n\n\n" +
      "* * *\n\n> quoted_line\n2 * 3 * 4, snake_case_name\n***\nend";
    expect(cleanBook(book)).toBe(
      "CHAPTER I\n\nWe said no never.\n\nquoted_line\n2 * 3 * 4, snake_case_name\n\nend\n",
    );
    expect(cleanBook("---\ntitle: x\n---\nText")).toBe("Text\n");
    expect(
      cleanBook(
        "Header\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\nText\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nLicence",
      ),
    ).toBe("Text\n");
    expect(cleanBook(cleanBook(book))).toBe(cleanBook(book));
  });
});

describe("the split", () => {
  const names = Array.from({ length: 4000 }, (_, i) => `books/${i}.md`);
  it("holds out about the share that was asked for, and always the same", () => {
    const held = names.filter((name) => isHeldOut(name, 0.05));
    expect(held.length).toBeGreaterThan(150);
    expect(held.length).toBeLessThan(250);
    expect(names.filter((name) => isHeldOut(name, 0.1))).toEqual(expect.arrayContaining(held));
    expect(names.filter((name) => isHeldOut(name, 0.05, 1))).not.toEqual(held);
    expect(names.some((name) => isHeldOut(name, 0))).toBe(false);
    expect(names.every((name) => isHeldOut(name, 1))).toBe(true);
  });
});

describe("tokens on disk", () => {
  it.each([
    [65536, 2],
    [65537, 4],
  ])("come back, with a vocabulary of %i in %i bytes each", (vocabulary, bytesPerToken) => {
    const path = join(folder, `tokens-${vocabulary}`);
    expect(TokenFile.open(path)).toBeUndefined();
    const writer = new TokenFileWriter(path, vocabulary);
    writer.add("one", [0, 1, vocabulary - 1], 10);
    writer.add("two", [5], 3);
    expect(() => writer.add("bad", [vocabulary], 1)).toThrow(/outside the vocabulary/);
    writer.finish();
    const file = TokenFile.open(path)!;
    expect(file.facts).toEqual({
      ...{ tokens: 4, bytesPerToken, textBytes: 13 },
      documents: [
        { name: "one", start: 0 },
        { name: "two", start: 3 },
      ],
    });
    const out = new Int32Array(3);
    file.read(1, out);
    expect([...out]).toEqual([1, vocabulary - 1, 5]);
    expect(() => file.read(2, out)).toThrow();
    file.close();
    truncateSync(`${path}.bin`, 3);
    expect(() => TokenFile.open(path)).toThrow(/does not fit/);
  });
});

describe("windows", () => {
  it("cover each pass once, in an order of its own", () => {
    const windows = new Windows(10_007, 10, 42);
    const count = windows.perEpoch;
    expect(count).toBe(999);
    const pass = (epoch: number) => Array.from({ length: count }, (_, i) => windows.start(epoch * count + i));
    const [first, second] = [pass(0), pass(1)];
    for (const starts of [first, second]) {
      const ordered = [...starts].sort((a, b) => a - b);
      expect(ordered.every((start, i) => i === 0 || start - ordered[i - 1]! === 10)).toBe(true);
      expect(ordered[0]).toBeGreaterThanOrEqual(0);
      expect(ordered.at(-1)! + 11).toBeLessThanOrEqual(10_007);
      expect(starts).not.toEqual(ordered);
    }
    expect(first).not.toEqual(second);
    expect(new Windows(10_007, 10, 42).start(1234)).toBe(windows.start(1234));
    expect(new Windows(10_007, 10, 43).start(1234)).not.toBe(windows.start(1234));
    expect(() => new Windows(20, 10, 0)).toThrow(/too few/);
  });
});
