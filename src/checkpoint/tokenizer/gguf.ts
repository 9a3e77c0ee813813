/**
 * A tokenizer from the `tokenizer.ggml.*` metadata of a GGUF file, with llama.cpp's meaning of each key.
 * Knows nothing of the file's layout.
 */
import { CheckpointError } from "../../base/errors.ts";
import { GgufArray } from "../gguf-values.ts";
import { Bpe } from "./bpe.ts";
import { fromByteAlphabet } from "./byte-alphabet.ts";
import { ByteStrings } from "./byte-strings.ts";
import { precompiledNormalizer } from "./charsmap.ts";
import { ChatTemplate } from "./chat-template.ts";
import type { DecodeRules } from "./decoder.ts";
import { Field } from "./fields.ts";
import { tokenizerFromHuggingFace } from "./huggingface.ts";
import { type KnownPreTokenizer, knownPreTokenizers } from "./known-patterns.ts";
import { Pattern } from "./pattern.ts";
import { PipelineTokenizer } from "./pipeline.ts";
import { cutAt, inOrder } from "./pre-tokenizer.ts";
import { sentencePieceTokenizer, specialIds, TokenType, writtenTokens } from "./sentencepiece.ts";
import { Vocabulary } from "./vocabulary.ts";
import { bertTokenizerJson } from "./vocabulary-files.ts";

const KEY = "tokenizer.ggml.";
const utf8 = new TextEncoder();
const NOTHING = new Uint8Array(0);

/** Undefined when the file holds no vocabulary. */
export function tokenizerFromGguf(
  file: string,
  metadata: ReadonlyMap<string, unknown>,
): PipelineTokenizer | undefined {
  const keys = new Metadata(file, metadata);
  const model = keys.field("model").optionalString();
  if (model === undefined || model === "no_vocab" || model === "none") return undefined;
  switch (model) {
    case "gpt2":
      return byteBpeTokenizer(keys);
    case "llama":
    case "t5":
      return sentencePieceFromGguf(keys, model === "t5");
    case "bert":
      return wordPieceTokenizer(keys);
    default:
      return keys.field("model").fail(`the vocabulary type "${model}" is not known`);
  }
}

/** Reads the keys that begin with "tokenizer.ggml.". */
class Metadata {
  readonly file: string;
  readonly #map: ReadonlyMap<string, unknown>;

  constructor(file: string, map: ReadonlyMap<string, unknown>) {
    this.file = file;
    this.#map = map;
  }

  field(name: string): Field {
    return this.raw(KEY + name);
  }

  raw(key: string): Field {
    return new Field(this.file, key, this.#map.get(key));
  }

  strings(name: string): string[] {
    const field = this.field(name);
    if (field.value instanceof GgufArray) return field.value.strings();
    const list = field.list();
    for (const item of list) if (typeof item !== "string") field.fail("must be a list of strings");
    return list as string[];
  }

  /** Undefined when the key is absent. */
  numbers(name: string, length?: number): ArrayLike<number> | undefined {
    const field = this.field(name);
    if (field.absent) return undefined;
    let values: ArrayLike<number>;
    if (field.value instanceof GgufArray) values = field.value.numbers();
    else if (ArrayBuffer.isView(field.value) && !(field.value instanceof DataView))
      values = Float64Array.from(field.value as Uint8Array);
    else {
      for (const item of field.list()) if (typeof item !== "number") field.fail("must be a list of numbers");
      values = field.value as number[];
    }
    if (length !== undefined && values.length !== length)
      field.fail(`has ${values.length} values for ${length} tokens`);
    return values;
  }

  /** A token id that the file gives; 0xffffffff and the like mean none. */
  id(name: string, tokens: number): number | undefined {
    const id = this.field(name).optionalInteger();
    if (id === undefined || id >= 0x7fffffff) return undefined;
    return id < tokens ? id : this.field(name).fail(`the id ${id} is not in the vocabulary of ${tokens}`);
  }
}

interface Common {
  tokens: string[];
  types: ArrayLike<number>;
  bos: number | undefined;
  eos: number | undefined;
  /** Also the ends of a turn and of a message, which end a text just as well. */
  ends: number[];
  chatTemplate: ChatTemplate | undefined;
}

function readCommon(keys: Metadata, defaults: { bos?: number; eos?: number }): Common {
  const tokens = keys.strings("tokens");
  if (tokens.length === 0) keys.field("tokens").fail("is empty");
  const types =
    keys.numbers("token_type", tokens.length) ?? new Uint8Array(tokens.length).fill(TokenType.normal);
  const within = (id: number | undefined): number | undefined =>
    id !== undefined && id < tokens.length ? id : undefined;
  const bos = keys.id("bos_token_id", tokens.length) ?? within(defaults.bos);
  const eos = keys.id("eos_token_id", tokens.length) ?? within(defaults.eos);
  const ends = ["eot_token_id", "eom_token_id"].map((name) => keys.id(name, tokens.length));
  return {
    tokens,
    types,
    bos,
    eos,
    ends: [...new Set([eos, ...ends])].filter((id) => id !== undefined),
    chatTemplate: readTemplate(keys, tokens, bos, eos),
  };
}

function readTemplate(
  keys: Metadata,
  tokens: string[],
  bos: number | undefined,
  eos: number | undefined,
): ChatTemplate | undefined {
  const field = keys.raw("tokenizer.chat_template");
  const source = field.optionalString();
  if (source === undefined) return undefined;
  const names: Record<string, string> = {};
  const name = (key: string, id: number | undefined): void => {
    const token = id === undefined ? undefined : tokens[id];
    if (token !== undefined) names[key] = token;
  };
  name("bos_token", bos);
  name("eos_token", eos);
  name("unk_token", keys.id("unknown_token_id", tokens.length));
  name("pad_token", keys.id("padding_token_id", tokens.length));
  const toolUse = keys.raw("tokenizer.chat_template.tool_use").optionalString();
  return new ChatTemplate(source, names, keys.file, field.path, toolUse);
}

/** BOS and EOS around a text, where the file or the vocabulary's custom asks for them. */
function around(
  keys: Metadata,
  { bos, eos }: Common,
  defaults: { bos: boolean; eos: boolean },
): { prefix: number[]; suffix: number[] } {
  const addBos = keys.field("add_bos_token").boolean(defaults.bos);
  const addEos = keys.field("add_eos_token").boolean(defaults.eos);
  return {
    prefix: addBos && bos !== undefined ? [bos] : [],
    suffix: addEos && eos !== undefined ? [eos] : [],
  };
}

function byteBpeTokenizer(keys: Metadata): PipelineTokenizer {
  const common = readCommon(keys, {});
  const { tokens, types } = common;
  const known = readPreTokenizer(keys);
  const vocabulary = Vocabulary.fromList(tokens);
  const merges = ByteStrings.from(keys.strings("merges"));
  return new PipelineTokenizer({
    vocabulary,
    added: writtenTokens(tokens, types),
    special: specialIds(types),
    normalizer: undefined,
    cut: inOrder(
      known.patterns.map((pattern) =>
        cutAt(Pattern.fromOniguruma(pattern, keys.file, `${KEY}pre`), "Isolated", false),
      ),
    ),
    model: new Bpe({
      file: keys.file,
      vocabulary,
      pairs: { merges },
      byteLevel: true,
      byteFallback: false,
      wholeFirst: known.wholeFirst ?? false,
      unknown: keys.id("unknown_token_id", tokens.length),
      fuseUnknown: false,
      continuingPrefix: "",
      endSuffix: "",
    }),
    ...around(keys, common, { bos: known.addBos ?? false, eos: false }),
    decode: byteDecodeRules(tokens, types),
    bos: common.bos,
    eos: common.ends,
    chatTemplate: common.chatTemplate,
    origin: { kind: "byte-bpe", merges, patterns: known.patterns, wholeFirst: known.wholeFirst ?? false },
  });
}

function readPreTokenizer(keys: Metadata): KnownPreTokenizer {
  const field = keys.field("pre");
  const name = field.optionalString() ?? "default";
  const known = knownPreTokenizers.get(name);
  return known ?? field.fail(`the pre-tokenizer "${name}" is not known`);
}

function byteDecodeRules(tokens: readonly string[], types: ArrayLike<number>): DecodeRules {
  return {
    leadingSpaces: 0,
    trailingSpace: false,
    bytes: (id) => {
      const token = tokens[id];
      if (token === undefined) return NOTHING;
      const plain = types[id] === TokenType.normal ? fromByteAlphabet(token) : undefined;
      return plain ?? utf8.encode(token);
    },
  };
}

function sentencePieceFromGguf(keys: Metadata, unigram: boolean): PipelineTokenizer {
  const common = readCommon(keys, unigram ? { eos: 1 } : { bos: 1, eos: 2 });
  const { tokens, types } = common;
  const scores = keys.numbers("scores", tokens.length);
  if (scores === undefined) throw new CheckpointError(keys.file, "is missing", { field: `${KEY}scores` });
  const charsmap = keys.numbers("precompiled_charsmap");
  return sentencePieceTokenizer({
    file: keys.file,
    algorithm: unigram ? "unigram" : "bpe",
    tokens,
    scores,
    types,
    unknown: keys.id("unknown_token_id", tokens.length) ?? (unigram ? Math.min(2, tokens.length - 1) : 0),
    spacePrefix: keys.field("add_space_prefix").boolean(true),
    collapseSpaces: keys.field("remove_extra_whitespaces").boolean(unigram),
    charsmap:
      charsmap === undefined || charsmap.length === 0
        ? undefined
        : precompiledNormalizer(Uint8Array.from(charsmap), keys.file, `${KEY}precompiled_charsmap`),
    bos: common.bos,
    eos: common.ends,
    ...around(keys, common, { bos: !unigram, eos: unigram }),
    chatTemplate: common.chatTemplate,
  });
}

/** llama.cpp writes "▁word" and "piece" where BERT's vocabulary has "word" and "##piece". */
function wordPieceTokenizer(keys: Metadata): PipelineTokenizer {
  const { tokens, types, chatTemplate } = readCommon(keys, {});
  const plain = tokens.map((token, id) => {
    if (token.startsWith("\u2581")) return token.slice(1);
    return types[id] !== TokenType.normal || /^\[.*\]$/.test(token) ? token : `##${token}`;
  });
  const content = bertTokenizerJson(plain, true);
  const made = tokenizerFromHuggingFace({ tokenizer: { file: keys.file, content } });
  return new PipelineTokenizer({ ...made.parts, chatTemplate });
}
