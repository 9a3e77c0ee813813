/**
 * The "pre_tokenizer" of a tokenizer.json: cuts a normalized text into the pieces that the model encodes one
 * by one. Knows nothing of vocabularies; a kind that it does not know is refused by name.
 */
import { toByteAlphabet } from "./byte-alphabet.ts";
import type { Field } from "./fields.ts";
import { GPT2_PATTERN, knownPatterns } from "./known-patterns.ts";
import { readPattern } from "./normalizer.ts";
import { Pattern, type Stretch, withTimeLimit } from "./pattern.ts";

/** `first` says that the text begins where the user's text begins. */
export type PreTokenizer = (text: string, first: boolean) => string[];

export interface PreTokenizing {
  cut: PreTokenizer | undefined;
  /** The last step turns pieces into bytes: the model does that itself, from the plain pieces. */
  byteLevel: boolean;
  /** The cuts written as patterns, where all can be: it is by these that GGUF files name them. */
  patterns: readonly string[] | undefined;
}

type Behavior = "Removed" | "Isolated" | "Contiguous" | "MergedWithPrevious" | "MergedWithNext";
const BEHAVIORS: readonly string[] = [
  "Removed",
  "Isolated",
  "Contiguous",
  "MergedWithPrevious",
  "MergedWithNext",
];
const MAX_DEPTH = 16;

const PUNCTUATION = Pattern.own(/[\p{P}!-/:-@[-`{-~]/gu);
const SPACES = Pattern.own(/\p{White_Space}+/gu);
const WORDS = Pattern.own(
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{White_Space}]+/gu,
);
const DIGITS = Pattern.own(/\p{N}/gu);
const GPT2 = Pattern.own(
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu,
);

export function makePreTokenizer(field: Field): PreTokenizing {
  if (field.absent) return { cut: undefined, byteLevel: false, patterns: undefined };
  const steps = flatten(field, 0);
  const byteLevel = steps.at(-1)?.get("type").string() === "ByteLevel";
  const cuts = steps.map((step, i) => makeStep(step, byteLevel && i === steps.length - 1));
  const cut = inOrder(cuts);
  const patterns = steps.flatMap((step) => asPatterns(step) ?? [undefined]);
  return {
    byteLevel,
    patterns: patterns.every((pattern) => pattern !== undefined) ? patterns : undefined,
    cut: steps.every(isKnown)
      ? cut
      : (text, first) => withTimeLimit(field.file, field.path, text.length, () => cut(text, first)),
  };
}

/** One cut after the other, each on the pieces that the one before left. */
export function inOrder(cuts: readonly PreTokenizer[]): PreTokenizer {
  return (text, first) => {
    let pieces = [text];
    for (const cut of cuts) {
      const next: string[] = [];
      for (let i = 0; i < pieces.length; i++)
        for (const piece of cut(pieces[i] as string, first && i === 0)) if (piece !== "") next.push(piece);
      pieces = next;
    }
    return pieces;
  };
}

function isKnown(step: Field): boolean {
  const pattern = step.get("pattern");
  const regex = pattern.absent ? undefined : pattern.get("Regex").value;
  return typeof regex !== "string" || knownPatterns.has(regex);
}

function flatten(field: Field, depth: number): Field[] {
  if (depth > MAX_DEPTH) field.fail("nested too deeply");
  if (field.get("type").string() !== "Sequence") return [field];
  return field
    .get("pretokenizers")
    .items()
    .flatMap((step) => flatten(step, depth + 1));
}

/** The patterns at which a step isolates pieces; undefined when it does something else. */
function asPatterns(step: Field): string[] | undefined {
  const type = step.get("type").string();
  if (type === "ByteLevel" && !step.get("add_prefix_space").boolean(true))
    return step.get("use_regex").boolean(true) ? [GPT2_PATTERN] : [];
  if (type === "Digits" && step.get("individual_digits").boolean(false)) return ["\\p{N}"];
  if (type !== "Split" || step.get("behavior").value !== "Isolated" || step.get("invert").value === true)
    return undefined;
  const regex = step.get("pattern").get("Regex");
  return typeof regex.value === "string" ? [regex.value] : undefined;
}

function makeStep(field: Field, last: boolean): PreTokenizer {
  const type = field.get("type").string();
  switch (type) {
    case "ByteLevel":
      return byteLevelStep(field, last);
    case "Split": {
      const pattern = readPattern(field.get("pattern"));
      return cutAt(pattern, readBehavior(field, undefined), field.get("invert").boolean(false));
    }
    case "CharDelimiterSplit":
      return cutAt(Pattern.literal(field.get("delimiter").string()), "Removed", false);
    case "Punctuation":
      return cutAt(PUNCTUATION, readBehavior(field, "Isolated"), false);
    case "Digits":
      return cutAt(DIGITS, field.get("individual_digits").boolean(false) ? "Isolated" : "Contiguous", false);
    case "Whitespace":
      return cutAt(WORDS, "Removed", true);
    case "WhitespaceSplit":
      return cutAt(SPACES, "Removed", false);
    case "BertPreTokenizer": {
      const words = cutAt(SPACES, "Removed", false);
      const marks = cutAt(PUNCTUATION, "Isolated", false);
      return (text, first) => words(text, first).flatMap((word) => marks(word, false));
    }
    case "Metaspace":
      return metaspaceStep(field);
    case "FixedLength": {
      const length = field.get("length").integer();
      if (length === 0) field.get("length").fail("must be 1 or greater");
      return (text) => {
        const characters = [...text];
        const pieces: string[] = [];
        for (let i = 0; i < characters.length; i += length)
          pieces.push(characters.slice(i, i + length).join(""));
        return pieces;
      };
    }
    default:
      return field.fail(`the pre-tokenizer "${type}" is not known`);
  }
}

function byteLevelStep(field: Field, last: boolean): PreTokenizer {
  const addSpace = field.get("add_prefix_space").boolean(true);
  const useRegex = field.get("use_regex").boolean(true);
  const cut = useRegex ? cutAt(GPT2, "Isolated", false) : (text: string) => [text];
  return (text, first) => {
    const pieces = cut(addSpace && !text.startsWith(" ") ? ` ${text}` : text, first);
    return last ? pieces : pieces.map(toByteAlphabet);
  };
}

function metaspaceStep(field: Field): PreTokenizer {
  const mark = field.get("replacement").optionalString() ?? "\u2581";
  const scheme =
    field.get("prepend_scheme").optionalString() ??
    (field.get("add_prefix_space").boolean(true) ? "always" : "never");
  if (scheme !== "always" && scheme !== "first" && scheme !== "never")
    field.get("prepend_scheme").fail(`must be "always", "first" or "never"`);
  const cut = field.get("split").boolean(true)
    ? cutAt(Pattern.literal(mark), "MergedWithNext", false)
    : (text: string) => [text];
  return (text, first) => {
    const marked = text.replaceAll(" ", mark);
    const prepend = scheme === "always" || (scheme === "first" && first);
    return cut(prepend && !marked.startsWith(mark) ? mark + marked : marked, first);
  };
}

function readBehavior(field: Field, otherwise: Behavior | undefined): Behavior {
  const behavior = field.get("behavior");
  const name = behavior.optionalString() ?? otherwise;
  if (name === undefined || !BEHAVIORS.includes(name))
    behavior.fail(`must be one of ${BEHAVIORS.join(", ")}`);
  return name as Behavior;
}

/** Cuts at the matches of a pattern; `invert` cuts at what lies between them instead. */
export function cutAt(pattern: Pattern, behavior: Behavior, invert: boolean): PreTokenizer {
  return (text) => joinStretches(pattern.stretches(text), behavior, invert);
}

function joinStretches(stretches: Stretch[], behavior: Behavior, invert: boolean): string[] {
  if (behavior === "Isolated") return stretches.map(([text]) => text);
  const pieces: string[] = [];
  let before: boolean | undefined;
  for (const [text, matched] of stretches) {
    const mark = matched !== invert;
    const joins =
      (behavior === "Contiguous" && before === mark) ||
      (behavior === "MergedWithPrevious" && mark && before === false) ||
      (behavior === "MergedWithNext" && !mark && before === true);
    if (joins) pieces[pieces.length - 1] += text;
    else if (!(behavior === "Removed" && mark)) pieces.push(text);
    before = mark;
  }
  return pieces;
}
