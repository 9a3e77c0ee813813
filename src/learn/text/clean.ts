/**
 * Makes plain prose of a book in markdown. Knows the marks of markdown and of Project Gutenberg's files; must not
 * know where books come from.
 */

/** Titles, authors and years above a rule, as collections of books put them in front. */
const FRONT_HEADINGS = /^\uFEFF?(?:#{1,6} .*\n+)+-{3,}\n/;
/** Front matter between rules. */
const FRONT_RULES = /^\uFEFF?---\n[\s\S]*?\n---\n/;
const GUTENBERG_START = /^[\s\S]{0,20000}?\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG.*\n/;
const GUTENBERG_END = /\n\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG[\s\S]*$/;

/**
 * Takes away, in this order: carriage returns; front matter and Project Gutenberg's licence; rules and rows of
 * stars; the marks of headings, quotations and emphasis (their text stays); spaces at the ends of lines; more than
 * one empty line in a row. Nothing else is changed.
 */
export function cleanBook(text: string): string {
  const body = text
    .replace(/\r\n?/g, "\n")
    .replace(FRONT_HEADINGS, "")
    .replace(FRONT_RULES, "")
    .replace(GUTENBERG_START, "")
    .replace(GUTENBERG_END, "\n");
  return body
    .replace(/^[ \t]*(?:[-*_][ \t]*){3,}$/gm, "")
    .replace(/^#{1,6}[ \t]+(.*?)[ \t]*#*$/gm, "$1")
    .replace(/^(?:>[ \t]?)+/gm, "")
    .replace(/(\*{1,3})(?=\S)([^*\n]*?\S)\1/g, "$2")
    .replace(/(?<![\p{L}\p{N}_])_(?=\S)([^_\n]*?\S)_(?![\p{L}\p{N}_])/gu, "$1")
    .replace(/[ \t]+$/gm, "")
    .replace(/\n{3,}/g, "\n\n")
    .trim()
    .concat("\n");
}
