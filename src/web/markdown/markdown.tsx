/** Markdown as elements. No HTML is ever made from text, so nothing that a model writes can run. */
import { Component, type ComponentChildren, type JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Marked } from "../tokens/marked.ts";
import { TokenText } from "../tokens/token-text.tsx";
import { CodeBlock } from "./code-block.tsx";
import { type Blocks, decodeEntities, lex, safeLink, type Token } from "./lex.ts";
import { Places } from "./places.ts";

interface Props {
  readonly text: string;
  /** Whether the text may still grow. */
  readonly growing: boolean;
  readonly marked: Marked | undefined;
}

export function Markdown({ text, growing, marked }: Props) {
  const last = useRef<Blocks>(undefined);
  // Complete, it is read as a whole once more: a link may be defined at the end.
  const blocks = lex(text, growing ? last.current : undefined);
  last.current = growing ? blocks : undefined;
  // Line ends that the reader of Markdown unifies would move all places.
  const placed = text.includes("\r") ? undefined : marked;
  let start = 0;
  return (
    <div class="markdown">
      {blocks.blocks.map((token, i) => {
        const own = start;
        start += token.raw.length;
        return <Block key={i} token={token} start={own} source={text} marked={placed} />;
      })}
    </div>
  );
}

interface BlockProps {
  readonly token: Token;
  readonly start: number;
  readonly source: string;
  readonly marked: Marked | undefined;
}

/** Drawn again only when its own text changes. */
class Block extends Component<BlockProps> {
  override shouldComponentUpdate({ token, start, marked }: BlockProps): boolean {
    const { props } = this;
    return token.raw !== props.token.raw || start !== props.start || !marked !== !props.marked;
  }

  override render() {
    const { token, start, source, marked } = this.props;
    return new Writer(new Places(source, start, start + token.raw.length), marked).block(token);
  }
}

type Children = ComponentChildren;
type Cell = { readonly tokens: Token[]; readonly align: "center" | "left" | "right" | null };
type Item = { readonly raw: string; readonly tokens: Token[] };

/** What scrolls must be reached by keyboard. */
const reachable = { role: "group", "aria-label": "Table", tabIndex: 0 } as const;

class Writer {
  readonly #places: Places;
  readonly #marked: Marked | undefined;

  constructor(places: Places, marked: Marked | undefined) {
    this.#places = places;
    this.#marked = marked;
  }

  readonly block = (token: Token): Children => this.#places.within(token.raw, () => this.#block(token));

  #block(token: Token): Children {
    switch (token.type) {
      case "space":
      case "def":
        return null;
      case "heading": {
        // The page has headings of its own above.
        const Tag = `h${Math.min(6, token.depth + 2)}` as "h3";
        return <Tag>{this.#inlines(token.tokens)}</Tag>;
      }
      case "paragraph":
        return <p>{this.#inlines(token.tokens)}</p>;
      case "code":
        return (
          <CodeBlock text={token.text} language={token.lang}>
            {this.#lines(token.text)}
          </CodeBlock>
        );
      case "blockquote":
        return <blockquote>{token.tokens?.map(this.block)}</blockquote>;
      case "list":
        return this.#list(token as unknown as { ordered: boolean; start: number | ""; items: Item[] });
      case "table":
        return this.#table(token as unknown as { header: Cell[]; rows: Cell[][] });
      case "hr":
        return <hr />;
      case "checkbox":
        return (
          <input
            type="checkbox"
            checked={token.checked}
            disabled
            aria-label={token.checked ? "done" : "to do"}
          />
        );
      case "text":
        return token.tokens ? this.#inlines(token.tokens) : this.#text(token.text);
      case "html":
        return <p>{this.#text(token.raw.trimEnd())}</p>;
      default:
        return this.#inline(token);
    }
  }

  #list({ ordered, start, items }: { ordered: boolean; start: number | ""; items: Item[] }) {
    const children = items.map((item, i) => (
      <li key={i}>{this.#places.within(item.raw, () => item.tokens.map(this.block))}</li>
    ));
    return ordered ? <ol start={start === "" ? 1 : start}>{children}</ol> : <ul>{children}</ul>;
  }

  #table({ header, rows }: { header: Cell[]; rows: Cell[][] }) {
    const cells = (list: Cell[], Tag: "th" | "td") =>
      list.map(({ tokens, align }, i) => (
        <Tag key={i} class={align ?? undefined}>
          {this.#inlines(tokens)}
        </Tag>
      ));
    return (
      <div class="scroll" {...reachable}>
        <table>
          <thead>
            <tr>{cells(header, "th")}</tr>
          </thead>
          <tbody>
            {rows.map((row, i) => (
              <tr key={i}>{cells(row, "td")}</tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  }

  #inlines(tokens: readonly Token[] = []): Children {
    return tokens.map((token) => this.#places.within(token.raw, () => this.#inline(token)));
  }

  #inline(token: Token): Children {
    switch (token.type) {
      case "text":
        return token.tokens ? this.#inlines(token.tokens) : this.#text(decodeEntities(token.text));
      case "escape":
        return this.#text(token.text);
      case "strong":
        return <strong>{this.#inlines(token.tokens)}</strong>;
      case "em":
        return <em>{this.#inlines(token.tokens)}</em>;
      case "del":
        return <del>{this.#inlines(token.tokens)}</del>;
      case "codespan":
        return <code>{this.#text(token.text)}</code>;
      case "br":
        return <br />;
      case "link":
        return <Link href={token.href}>{this.#inlines(token.tokens)}</Link>;
      case "image":
        // Nothing is loaded from elsewhere: a picture is a link to it.
        return <Link href={token.href}>{this.#text(token.text) || "picture"}</Link>;
      case "html":
        return /^<br\s*\/?>$/i.test(token.raw) ? <br /> : this.#text(token.raw);
      default:
        return this.#text(token.raw);
    }
  }

  /** Each line is looked for by itself: the block may have been indented. */
  #lines(text: string): Children {
    if (this.#marked === undefined) return text;
    return text.split("\n").map((line, i) => [i > 0 ? "\n" : "", this.#text(line)]);
  }

  #text(text: string): Children {
    const start = this.#marked && text !== "" ? this.#places.take(text) : undefined;
    return start === undefined ? text : <TokenText text={text} start={start} marked={this.#marked!} />;
  }
}

const Link = ({ href, children }: { href: string; children: Children }): JSX.Element => {
  const safe = safeLink(href);
  return safe === undefined ? (
    <span>
      {children} ({href})
    </span>
  ) : (
    <a href={safe} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
};
