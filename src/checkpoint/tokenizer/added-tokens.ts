/**
 * Finds tokens that are written out in a text (<s>, <|im_start|>, ...) before the model sees it: leftmost
 * first, longest among those that begin at one place. Knows nothing of the model.
 */

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  /** Takes the white space before it, or after it, along. */
  lstrip: boolean;
  rstrip: boolean;
  /** Only between characters that are not part of words. */
  singleWord: boolean;
  /** Sought in the normalized text; otherwise in the text as the user wrote it. */
  normalized: boolean;
}

/** Text between tokens, or the id of a token. */
export type Section = string | number;

export class AddedTokenFinder {
  /** Lengths that occur among the tokens with this first UTF-16 unit, longest first. */
  readonly #lengths = new Map<number, number[]>();
  readonly #tokens = new Map<string, AddedToken>();

  /** `written` gives how a token looks in the text that is searched. */
  constructor(tokens: Iterable<AddedToken>, written: (token: AddedToken) => string) {
    for (const token of tokens) {
      const text = written(token);
      if (text === "" || this.#tokens.has(text)) continue;
      this.#tokens.set(text, token);
      const lengths = this.#lengths.get(text.charCodeAt(0)) ?? [];
      if (!lengths.includes(text.length)) lengths.push(text.length);
      lengths.sort((a, b) => b - a);
      this.#lengths.set(text.charCodeAt(0), lengths);
    }
  }

  split(text: string): Section[] {
    if (this.#tokens.size === 0) return text === "" ? [] : [text];
    const sections: Section[] = [];
    let start = 0;
    for (let i = 0; i < text.length; i++) {
      const found = this.#at(text, i);
      if (found === undefined) continue;
      const [token, length] = found;
      let before = i;
      let after = i + length;
      if (token.lstrip) while (before > start && isSpace(text, before - 1)) before--;
      if (token.rstrip) while (after < text.length && isSpace(text, after)) after++;
      if (before > start) sections.push(text.slice(start, before));
      sections.push(token.id);
      start = after;
      i = after - 1;
    }
    if (start < text.length) sections.push(text.slice(start));
    return sections;
  }

  #at(text: string, i: number): [AddedToken, number] | undefined {
    const lengths = this.#lengths.get(text.charCodeAt(i));
    if (lengths === undefined) return undefined;
    for (const length of lengths) {
      if (i + length > text.length) continue;
      const token = this.#tokens.get(text.slice(i, i + length));
      if (token === undefined) continue;
      if (token.singleWord && (isWord(text, i - 1) || isWord(text, i + length))) continue;
      return [token, length];
    }
    return undefined;
  }
}

const isSpace = (text: string, i: number): boolean => /\p{White_Space}/u.test(text[i] as string);
const isWord = (text: string, i: number): boolean => /[\p{L}\p{M}\p{N}\p{Pc}]/u.test(text[i] ?? "");
