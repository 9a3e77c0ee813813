/**
 * tokenizer.json made in memory from the older files: vocab.json with merges.txt, and vocab.txt. What the
 * files do not say (how a text is cut) is the custom of the tokenizer's class. Knows nothing of folders.
 */
import type { AddedToken } from "./added-tokens.ts";
import type { Field, JsonObject } from "./fields.ts";
import { GPT2_PATTERN, knownPreTokenizers } from "./known-patterns.ts";

/** tokenizer.json of a byte-level BPE, without its vocabulary and merges. `className` is `tokenizer_class` of tokenizer_config.json. */
export function bpeTokenizerJson(className: string | undefined): JsonObject {
  const family = (className ?? "").replace(/Tokenizer(Fast)?$/, "");
  const pre =
    family === "Qwen2" ? "qwen2" : family === "PreTrained" || family === "Llama3" ? "llama3" : "gpt2";
  const known = knownPreTokenizers.get(pre);
  return {
    added_tokens: [],
    normalizer: pre === "qwen2" ? { type: "NFC" } : null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        ...(known?.patterns ?? [GPT2_PATTERN]).map((Regex) => ({
          type: "Split",
          pattern: { Regex },
          behavior: "Isolated",
          invert: false,
        })),
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: {}, merges: [], ignore_merges: known?.wholeFirst ?? false },
  };
}

/** tokenizer.json of BERT's WordPiece. `tokens` in the order of their ids. */
export function bertTokenizerJson(tokens: readonly string[], lowercase: boolean): JsonObject {
  const vocab: JsonObject = Object.create(null);
  for (const [id, token] of tokens.entries()) if (!(token in vocab)) vocab[token] = id;
  const special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"].filter((token) => token in vocab);
  const added = special.map(
    (content) =>
      ({
        id: vocab[content] as number,
        content,
        special: true,
        lstrip: false,
        rstrip: false,
        singleWord: false,
        normalized: false,
      }) satisfies AddedToken,
  );
  const around = (token: string): JsonObject => ({ SpecialToken: { id: token, type_id: 0 } });
  const used = (token: string): JsonObject => ({
    [token]: { id: token, ids: [vocab[token]], tokens: [token] },
  });
  const framed = "[CLS]" in vocab && "[SEP]" in vocab;
  return {
    added_tokens: added,
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, lowercase },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: framed
      ? {
          type: "TemplateProcessing",
          single: [around("[CLS]"), { Sequence: { id: "A", type_id: 0 } }, around("[SEP]")],
          special_tokens: { ...used("[CLS]"), ...used("[SEP]") },
        }
      : null,
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", vocab },
  };
}

/** `do_lower_case` of tokenizer_config.json; BERT's custom is to lower. */
export const readLowercase = (config: Field): boolean => config.get("do_lower_case").boolean(true);
