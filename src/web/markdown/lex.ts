/**
 * Markdown as blocks. While a text grows only its end is read again: a block that another one follows does not change
 * any more. Pure; marked reads, nothing here writes HTML.
 */
import { Lexer, type Token } from "marked";

export type { Token } from "marked";

export interface Blocks {
  readonly text: string;
  readonly blocks: readonly Token[];
}

/** Line breaks count: models write poems and addresses. */
const read = (text: string): readonly Token[] => Lexer.lex(text, { gfm: true, breaks: true });

/** The last block can still grow, and blank lines behind it are a block of their own. */
const open = 2;

/** @param before the blocks of what the text was a moment ago; without it all is read */
export function lex(text: string, before?: Blocks): Blocks {
  if (before === undefined || !text.startsWith(before.text)) return { text, blocks: read(text) };
  if (text.length === before.text.length) return before;
  const kept = before.blocks.slice(0, -open);
  const done = kept.map(({ raw }) => raw).join("");
  // Some white space at the end of a list is not given back as it was written.
  if (!text.startsWith(done)) return { text, blocks: read(text) };
  return { text, blocks: [...kept, ...read(text.slice(done.length))] };
}

const entities: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00a0",
};

/** Character references as the characters; unknown ones stay as they are written. */
export const decodeEntities = (text: string): string =>
  text.replace(
    /&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));/gi,
    (whole, decimal, hex, name: string | undefined) => {
      if (name !== undefined) return Object.hasOwn(entities, name) ? entities[name]! : whole;
      const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
    },
  );

/** An address that a link may lead to: another page, or mail. Everything else stays text. */
export function safeLink(href: string): string | undefined {
  try {
    const url = new URL(href);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}
