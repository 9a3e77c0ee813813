/**
 * The "normalizer" of a tokenizer.json: what is done to a text before it is cut. Knows nothing of files;
 * a kind that it does not know is refused by name.
 */
import { toByteAlphabet } from "./byte-alphabet.ts";
import { precompiledNormalizer } from "./charsmap.ts";
import type { Field } from "./fields.ts";
import { Pattern } from "./pattern.ts";

export type Normalizer = (text: string) => string;

const MAX_DEPTH = 16;

export function makeNormalizer(field: Field, depth = 0): Normalizer | undefined {
  if (field.absent) return undefined;
  if (depth > MAX_DEPTH) field.fail("nested too deeply");
  const type = field.get("type").string();
  switch (type) {
    case "Sequence": {
      const steps = field
        .get("normalizers")
        .items()
        .map((step) => makeNormalizer(step, depth + 1));
      return (text) => steps.reduce((before, step) => (step === undefined ? before : step(before)), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(type);
    case "Lowercase":
      return (text) => text.toLowerCase();
    case "StripAccents":
      return (text) => text.replace(/\p{Mn}/gu, "");
    case "Strip": {
      const left = field.get("strip_left").boolean(true);
      const right = field.get("strip_right").boolean(true);
      return (text) => {
        const begun = left ? text.replace(/^\p{White_Space}+/u, "") : text;
        return right ? trimEnd(begun) : begun;
      };
    }
    case "Prepend": {
      const prefix = field.get("prepend").string();
      return (text) => (text === "" ? "" : prefix + text);
    }
    case "Replace": {
      const pattern = readPattern(field.get("pattern"));
      const content = field.get("content").string();
      return (text) => pattern.replace(text, content);
    }
    case "ByteLevel":
      return toByteAlphabet;
    case "Nmt":
      return nmt;
    case "Precompiled": {
      const map = field.get("precompiled_charsmap");
      return precompiledNormalizer(fromBase64(map), map.file, map.path);
    }
    case "BertNormalizer":
      return bertNormalizer(field);
    default:
      return field.fail(`the normalizer "${type}" is not known`);
  }
}

/** {"String": "..."} or {"Regex": "..."}. */
export function readPattern(field: Field): Pattern {
  const literal = field.get("String");
  if (!literal.absent) return Pattern.literal(literal.string());
  const regex = field.get("Regex");
  return Pattern.fromOniguruma(regex.string(), regex.file, regex.path);
}

/** Not with a pattern such as /\s+$/, which is quadratic in runs of spaces. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** SentencePiece's "nmt" rules, as in Hugging Face's `Nmt`. */
const nmt: Normalizer = (text) =>
  text
    .replace(/[^\P{Cc}\0\t\n\f\r\u{80}-\u{8e}\u{90}-\u{9e}]/gu, "")
    .replace(/[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g, " ");

const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

function bertNormalizer(field: Field): Normalizer {
  const clean = field.get("clean_text").boolean(true);
  const chinese = field.get("handle_chinese_chars").boolean(true);
  const lowercase = field.get("lowercase").boolean(true);
  const accents = field.get("strip_accents").boolean(lowercase);
  return (input) => {
    let text = input;
    if (clean)
      text = text.replace(/[^\P{Cc}\t\n\r]|\p{Cf}|\p{Co}|\ufffd/gu, "").replace(/\p{White_Space}/gu, " ");
    if (chinese) text = text.replace(CHINESE, " $& ");
    if (accents) text = text.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lowercase ? text.toLowerCase() : text;
  };
}

function fromBase64(field: Field): Uint8Array {
  try {
    return Uint8Array.from(atob(field.string()), (character) => character.charCodeAt(0));
  } catch (cause) {
    return field.fail("must be written in base64", cause);
  }
}
