/** Markdown becomes elements: whatever a model writes, only those that were meant. */
import { createElement } from "preact";
import { renderToString } from "preact-render-to-string";
import { describe, expect, it } from "vitest";
import type { Token } from "../../src/web/api/events.ts";
import { decodeEntities, lex, safeLink } from "../../src/web/markdown/lex.ts";
import { Markdown } from "../../src/web/markdown/markdown.tsx";
import { nextSpeech } from "../../src/web/parts/speech.ts";
import { piecesOf, spansOf, spansOfAnswer, surprise } from "../../src/web/tokens/marked.ts";
import { Random } from "../support/random.ts";

const html = (text: string) =>
  renderToString(createElement(Markdown, { text, growing: false, marked: undefined }));

const rich = `# Title & more

One **bold** and *slanted* \`code <b>\`, a ~~struck~~ line
and a [link](https://a.example/x?y=1&z=2).

1. first
   - inner \`x\`
   - another

     with a paragraph
2. second &amp; &lt;last&gt;

> quoted
> **twice**

\`\`\`ts
const a = "<script>";

  indented();
\`\`\`

| a | b |
| --- | ---: |
| 1 | **2** |

---
The end.`;

describe("Markdown", () => {
  it("renders what models write", () => {
    const text = html(rich);
    for (const part of [
      "<h3>Title &amp; more</h3>",
      "<strong>bold</strong>",
      "<em>slanted</em>",
      "<code>code &lt;b></code>",
      "<del>struck</del> line<br/>and",
      'href="https://a.example/x?y=1&amp;z=2"',
      "<li>first<ul>",
      "second &amp; &lt;last>",
      "<blockquote><p>quoted<br/><strong>twice</strong></p></blockquote>",
      "<span>ts</span>",
      "const a = &quot;&lt;script>&quot;;\n\n  indented();",
      '<td class="right"><strong>2</strong></td>',
      "<hr/>",
    ])
      expect(text.replaceAll('"&lt;script>"', "&quot;&lt;script>&quot;")).toContain(part);
    expect(html("- [x] done\n- [ ] not")).toMatch(
      /<input[^>]*checked disabled[^>]*\/>done.*<input[^>]*"to do"[^>]*\/>not/,
    );
  });

  it("never makes an element, an address or a handler of what a model wrote as HTML", () => {
    const hostile = [
      "<script>alert(1)</script>",
      "<img src=x onerror=alert(1)>",
      "a <b onclick=alert(1)>b</b> c",
      "<iframe src=//evil.example></iframe>",
      "[x](javascript:alert(1))",
      "[x](JaVaScRiPt:alert(1))",
      "[x](&#106;avascript:alert(1))",
      "[x](data:text/html,<script>alert(1)</script>)",
      "[x](//evil.example)",
      '[x](https://a.example "t\\" onmouseover=alert(1)")',
      "![x](https://evil.example/pixel.png)",
      '<https://a.example/"onmouseover=alert(1)>',
      "<svg><style>@import url(//evil.example)</style></svg>",
      "```<script>\nx\n```",
      "| <img src=x> |\n| --- |\n| <script>x</script> |",
      "[r]\n\n[r]: javascript:alert(1)",
    ];
    for (const text of hostile) {
      const result = html(text);
      const elements = [...result.matchAll(/<\/?([a-z][\w-]*)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*\/?>/gi)];
      // All that looks like an element to a browser is one of ours.
      expect(result.match(/<[a-z/!?]/gi)?.length ?? 0, text).toBe(elements.length);
      for (const [, name, attributes] of elements) {
        expect(name, text).not.toMatch(/^(script|img|iframe|style|b|object|embed|form)$/i);
        expect(attributes, text).not.toMatch(/\son\w+=|javascript:|srcdoc|\ssrc=/i);
      }
      for (const [, address] of result.matchAll(/href="([^"]*)"/g)) expect(address).toMatch(/^https:/);
    }
  });

  it("reads a growing text as it reads the whole", () => {
    const random = new Random(3);
    const doc = rich.replaceAll("\n\n", "\n\n\n");
    for (let round = 0; round < 60; round++) {
      let blocks = lex("");
      for (let at = 0; at < doc.length; ) {
        at = Math.min(doc.length, at + random.int(1, 12));
        blocks = lex(doc.slice(0, at), blocks);
      }
      expect([...blocks.blocks]).toEqual([...lex(doc).blocks]);
    }
  });

  it("keeps the blocks that another one follows", () => {
    const before = lex("one\n\ntwo\n\nthree");
    const after = lex("one\n\ntwo\n\nthree and more", before);
    expect(after.blocks[0]).toBe(before.blocks[0]);
    expect(lex("other", before).blocks).toHaveLength(1);
  });

  it("decodes characters that were written as references, and only those", () => {
    expect(decodeEntities("&lt;&#65;&#x42;&nbsp;&unknown; & &#0;&#x110000;")).toBe(
      "<AB\u00a0&unknown; & \ufffd\ufffd",
    );
    expect(safeLink("mailto:a@b.example")).toBe("mailto:a@b.example");
    expect(safeLink("/v1/models")).toBeUndefined();
  });
});

describe("tokens in Markdown", () => {
  const token = (text: string, logprob = -1): Token => ({ text, logprob, top: [] });
  const chop = (text: string, size: number) =>
    text.match(new RegExp(`[^]{1,${size}}`, "g"))!.map((part) => token(part));
  const plain = (text: string) =>
    text
      .replace(/<[^>]*>/g, "")
      .replaceAll("&lt;", "<")
      .replaceAll("&quot;", '"')
      .replaceAll("&amp;", "&");

  it("change nothing of what is shown, and stand where they were written", () => {
    for (const size of [1, 3, 7]) {
      const spans = spansOf(chop(rich, size), 0);
      const result = renderToString(
        createElement(Markdown, { text: rich, growing: false, marked: { spans, offset: 0 } }),
      );
      expect(plain(result)).toBe(plain(html(rich)));
      const shown = [...result.matchAll(/<span class="t t\d" data-t="(\d+)">([^<]*(?:&lt;[^<]*)*)<\/span>/g)];
      expect(shown.map(([, , piece]) => plain(piece!)).join("").length, result).toBeGreaterThan(
        plain(result).length * 0.85,
      );
      for (const [, index, text] of shown)
        expect(rich.slice(spans[Number(index)]!.start, spans[Number(index)]!.end)).toContain(plain(text!));
      // In order, so that arrow keys go through the text as it is read.
      const order = shown.map(([, index]) => Number(index));
      expect(order).toEqual([...order].sort((a, b) => a - b));
    }
  });

  it("hold what has no text by itself together with what follows", () => {
    const spans = spansOfAnswer({ text: "ab é!", tokens: [token(""), token("é"), token("!")] });
    expect(spans.map(({ start, end, tokens }) => [start, end, tokens.length])).toEqual([
      [3, 4, 2],
      [4, 5, 1],
    ]);
    expect(piecesOf("b é", 1, spans)).toEqual([{ text: "b " }, { text: "é", span: 0 }]);
    expect(piecesOf("", 0, spans)).toEqual([]);
  });

  it("are tinted the more the less likely they were", () => {
    const tints = [0.9, 0.5, 0.2, 0.1, 0.01].map((p) =>
      surprise({ start: 0, end: 1, tokens: [token("a", Math.log(p))] }),
    );
    expect(tints).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("reading out", () => {
  it("goes by sentences", () => {
    expect(nextSpeech("It was. It is, an", 0, false)).toEqual(["It was.", 7]);
    expect(nextSpeech("It was. It is, an", 7, false)).toEqual(["", 7]);
    expect(nextSpeech("It was. It is, an", 7, true)).toEqual(["It is, an", 17]);
    expect(nextSpeech("3.14 is", 0, false)).toEqual(["", 0]);
    expect(nextSpeech("a line\nand", 0, false)).toEqual(["a line", 7]);
  });
});
