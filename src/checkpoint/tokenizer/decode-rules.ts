/**
 * The "decoder" of a tokenizer.json as rules for single tokens: what Hugging Face applies to lists of
 * tokens comes down to the bytes of each, and to spaces at the ends. A decoder for which it does not is refused.
 */

import { fromByteAlphabet } from "./byte-alphabet.ts";
import type { DecodeRules } from "./decoder.ts";
import type { Field } from "./fields.ts";
import { readPattern } from "./normalizer.ts";

const utf8 = new TextEncoder();
const NOTHING = new Uint8Array(0);
const MAX_DEPTH = 16;

/** One step: the token's text, before it is bytes, and whether it is the text's first. */
type Step = (token: string, first: boolean) => string;

interface Plan {
  steps: Step[];
  byteAlphabet: boolean;
  byteFallback: boolean;
  fused: boolean;
  leadingSpaces: number;
  wordEnd: string;
}

/**
 * @param tokenOf token by id
 * @param isText whether a token's text stands for itself (added tokens)
 * @param wordEnd the mark that ends words in the vocabulary (`end_of_word_suffix`), or ""
 */
export function makeDecodeRules(
  field: Field,
  tokenOf: (id: number) => string | undefined,
  isText: (id: number) => boolean,
  wordEnd: string,
): DecodeRules {
  const plan: Plan = {
    steps: [],
    byteAlphabet: false,
    byteFallback: false,
    fused: false,
    leadingSpaces: 0,
    wordEnd,
  };
  if (field.absent) plan.steps.push((token, first) => (first ? token : ` ${token}`));
  else addSteps(plan, field, 0);
  const make =
    (first: boolean) =>
    (id: number): Uint8Array => {
      const token = tokenOf(id);
      if (token === undefined) return NOTHING;
      return tokenToBytes(plan, token, isText(id), first);
    };
  return {
    bytes: make(false),
    firstBytes: make(true),
    leadingSpaces: plan.leadingSpaces,
    trailingSpace: plan.wordEnd !== "",
  };
}

function tokenToBytes(plan: Plan, token: string, isText: boolean, first: boolean): Uint8Array {
  if (plan.byteAlphabet) {
    if (isText) return utf8.encode(token);
    const ends = plan.wordEnd !== "" && token.endsWith(plan.wordEnd);
    const bytes = fromByteAlphabet(ends ? token.slice(0, -plan.wordEnd.length) : token);
    if (bytes === undefined) return utf8.encode(token);
    return ends ? Uint8Array.of(...bytes, 0x20) : bytes;
  }
  const byte = plan.byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
  if (byte !== null) return Uint8Array.of(Number.parseInt(byte[1] as string, 16));
  return utf8.encode(plan.steps.reduce((text, step) => step(text, first), token));
}

function addSteps(plan: Plan, field: Field, depth: number): void {
  if (depth > MAX_DEPTH) field.fail("nested too deeply");
  const type = field.get("type").string();
  switch (type) {
    case "Sequence":
      for (const step of field.get("decoders").items()) addSteps(plan, step, depth + 1);
      return;
    case "ByteLevel":
      plan.byteAlphabet = true;
      return;
    case "ByteFallback":
      plan.byteFallback = true;
      return;
    case "Fuse":
      plan.fused = true;
      return;
    case "Replace": {
      if (plan.fused) field.fail(`"Replace" after "Fuse" is not supported`);
      const pattern = readPattern(field.get("pattern"));
      const content = field.get("content").string();
      plan.steps.push((token) => pattern.replace(token, content));
      return;
    }
    case "Strip":
      addStrip(plan, field);
      return;
    case "Metaspace": {
      const mark = field.get("replacement").optionalString() ?? "\u2581";
      const scheme = field.get("prepend_scheme").optionalString() ?? "always";
      const drops = scheme !== "never" && field.get("add_prefix_space").boolean(true);
      plan.steps.push((token, first) =>
        (first && drops && token.startsWith(mark) ? token.slice(mark.length) : token).replaceAll(mark, " "),
      );
      return;
    }
    case "WordPiece": {
      const prefix = field.get("prefix").optionalString() ?? "##";
      const cleanup = field.get("cleanup").boolean(true);
      plan.steps.push((token, first) => {
        const text = first ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
        return cleanup ? cleanUp(text) : text;
      });
      return;
    }
    case "BPEDecoder": {
      const suffix = field.get("suffix").optionalString() ?? "</w>";
      if (suffix === "") field.get("suffix").fail("must not be empty");
      plan.wordEnd = suffix;
      plan.steps.push((token) => token.replaceAll(suffix, " "));
      return;
    }
    default:
      field.fail(`the decoder "${type}" is not known`);
  }
}

function addStrip(plan: Plan, field: Field): void {
  const content = field.get("content").string();
  const start = field.get("start").integer();
  if (field.get("stop").integer() !== 0) field.get("stop").fail("only 0 is supported");
  if (plan.fused) {
    if (content !== " " && start > 0) field.get("content").fail("only spaces can be stripped from a text");
    plan.leadingSpaces += start;
    return;
  }
  plan.steps.push((token) => {
    let from = 0;
    for (let i = 0; i < start && content !== "" && token.startsWith(content, from); i++)
      from += content.length;
    return token.slice(from);
  });
}

/** Hugging Face's `cleanup` of WordPiece tokens, which looks at one token at a time. */
const cleanUp = (token: string): string =>
  token
    .replaceAll(" .", ".")
    .replaceAll(" ?", "?")
    .replaceAll(" !", "!")
    .replaceAll(" ,", ",")
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(" do not", " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
