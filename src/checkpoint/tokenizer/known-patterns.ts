/**
 * The pre-tokenizer patterns of published models, by the name that GGUF files give them
 * (`tokenizer.ggml.pre`, as in llama.cpp). Knows nothing of how they are applied.
 */

export const GPT2_PATTERN =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const GPT2_OPEN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const TAIL = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const WORDS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const MARKS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
const LLAMA3 = `${CONTRACTIONS}|${WORDS}|\\p{N}{1,3}|${MARKS}|${TAIL}`;
const QWEN2 = `${CONTRACTIONS}|${WORDS}|\\p{N}|${MARKS}|${TAIL}`;
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const CASED = (after: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${after}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${after}`;
const CASED_TAIL = ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${TAIL}`;
const GPT4O = `${CASED(`${CONTRACTIONS}?`)}|\\p{N}{1,3}|${CASED_TAIL}`;
const TEKKEN = `${CASED("")}|\\p{N}|${CASED_TAIL}`;
const BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+";
const HAN_HANGUL = "[一-龥ࠀ-一가-퟿]+";
const DEEPSEEK_LETTERS =
  "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃";
const PUNCTUATION = "[\\p{P}\\$\\+<=>\\^~\\|]+";

export interface KnownPreTokenizer {
  /** Applied one after the other, each to the pieces that the one before left. */
  patterns: readonly string[];
  /** A piece that is a token as a whole is not merged from parts. */
  wholeFirst?: boolean;
  /** Begins texts with BOS unless the file says otherwise. */
  addBos?: boolean;
}

const gpt2: KnownPreTokenizer = { patterns: [GPT2_PATTERN] };
const digitsFirst: KnownPreTokenizer = { patterns: ["\\p{N}", GPT2_PATTERN] };
const llama3: KnownPreTokenizer = { patterns: [LLAMA3], wholeFirst: true, addBos: true };
const qwen2: KnownPreTokenizer = { patterns: [QWEN2] };
const gpt4o: KnownPreTokenizer = { patterns: [GPT4O] };
const tekken: KnownPreTokenizer = { patterns: [TEKKEN], wholeFirst: true };
const bloom: KnownPreTokenizer = { patterns: [BLOOM] };
const deepseek3: KnownPreTokenizer = {
  patterns: [
    "\\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${TAIL}`,
  ],
};

export const knownPreTokenizers: ReadonlyMap<string, KnownPreTokenizer> = new Map(
  Object.entries({
    default: { patterns: [PUNCTUATION, GPT2_OPEN, "\\p{N}+", "[0-9][0-9][0-9]"] },
    "gpt-2": gpt2,
    gpt2,
    mpt: gpt2,
    olmo: gpt2,
    "phi-2": gpt2,
    jais: gpt2,
    "jina-v1-en": gpt2,
    "jina-v2-es": gpt2,
    "jina-v2-de": gpt2,
    "jina-v2-code": gpt2,
    "jina-es": gpt2,
    "jina-de": gpt2,
    "a.x-4.0": gpt2,
    mellum: gpt2,
    "modern-bert": gpt2,
    "roberta-bpe": gpt2,
    exaone4: gpt2,
    gigachat: gpt2,
    starcoder: digitsFirst,
    refact: digitsFirst,
    "command-r": digitsFirst,
    smollm: digitsFirst,
    codeshell: digitsFirst,
    exaone: digitsFirst,
    "minerva-7b": digitsFirst,
    falcon: { patterns: ["[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2_OPEN, "[0-9][0-9][0-9]"] },
    llama3,
    "llama-v3": llama3,
    "llama-bpe": llama3,
    falcon3: llama3,
    pixtral: llama3,
    "falcon-h1": llama3,
    "midm-2.0": llama3,
    lfm2: llama3,
    dbrx: { patterns: [LLAMA3] },
    "smaug-bpe": { patterns: [LLAMA3] },
    "chatglm-bpe": { patterns: [LLAMA3] },
    qwen2,
    qwen2vl: qwen2,
    stablelm2: qwen2,
    "deepseek-r1-qwen": qwen2,
    megrez: qwen2,
    hunyuan: qwen2,
    "gpt-4o": gpt4o,
    llama4: gpt4o,
    tekken,
    bloom,
    "poro-chat": bloom,
    "gpt3-finnish": bloom,
    viking: { patterns: [BLOOM, "\\p{N}"] },
    "deepseek-llm": {
      patterns: [
        "[\\r\\n]",
        `\\s?[${DEEPSEEK_LETTERS}]+`,
        "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
        "\\s+$",
        HAN_HANGUL,
        "\\p{N}+",
      ],
    },
    "deepseek-coder": { patterns: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", HAN_HANGUL, "\\p{N}"] },
    "deepseek-v3": deepseek3,
  } satisfies Record<string, KnownPreTokenizer>),
);

/** Patterns that are known not to run away, so they need no time limit. */
export const knownPatterns: ReadonlySet<string> = new Set([
  ...[...knownPreTokenizers.values()].flatMap(({ patterns }) => patterns),
]);
