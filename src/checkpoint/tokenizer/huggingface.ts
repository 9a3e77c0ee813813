/**
 * A tokenizer from the contents of tokenizer.json and the configuration files beside it. Knows the format;
 * not where the files lie, nor how GGUF says the same.
 */
import type { AddedToken } from "./added-tokens.ts";
import { Bpe, type PieceModel } from "./bpe.ts";
import { ByteStrings } from "./byte-strings.ts";
import { chatTemplate, generationEos, type HuggingFaceFiles, rootOf, specialNames } from "./configuration.ts";
import { makeDecodeRules } from "./decode-rules.ts";
import type { Field } from "./fields.ts";
import { makeNormalizer } from "./normalizer.ts";
import { type PipelineParts, PipelineTokenizer, type TokenizerOrigin } from "./pipeline.ts";
import { makeSurroundings, type Surroundings } from "./post-processor.ts";
import { makePreTokenizer, type PreTokenizing } from "./pre-tokenizer.ts";
import { Unigram } from "./unigram.ts";
import { idLimit, Vocabulary } from "./vocabulary.ts";
import { WordPiece } from "./wordpiece.ts";

export function tokenizerFromHuggingFace(files: HuggingFaceFiles): PipelineTokenizer {
  const root = rootOf(files.tokenizer);
  const config = rootOf(files.config);
  const cutting = makePreTokenizer(root.get("pre_tokenizer"));
  const read = readModel(root, cutting, files.long);
  const { vocabulary } = read;
  const names = specialNames(config, rootOf(files.specialTokens));
  const added = readAddedTokens(root, config, vocabulary);
  const addedIds = new Set(added.map((token) => token.id));
  const special = new Set<number>();
  for (const content of names.all) {
    const id = vocabulary.id(content);
    if (id === undefined) continue;
    special.add(id);
    // A token with a part to play is found in texts even where the list of added tokens lacks it.
    if (!addedIds.has(id)) added.push({ ...PLAIN_TOKEN, id, content });
    addedIds.add(id);
  }
  const bos = names.bos === undefined ? undefined : vocabulary.id(names.bos);
  const eosByName = names.eos === undefined ? undefined : vocabulary.id(names.eos);
  const eos = new Set(eosByName === undefined ? [] : [eosByName]);
  for (const id of generationEos(rootOf(files.generation))) eos.add(id);

  return new PipelineTokenizer({
    vocabulary,
    added,
    special,
    normalizer: makeNormalizer(root.get("normalizer")),
    cut: cutting.cut,
    model: read.model,
    ...surroundings(root, config, vocabulary, bos, eosByName),
    decode: makeDecodeRules(
      root.get("decoder"),
      (id) => vocabulary.token(id),
      (id) => addedIds.has(id),
      read.wordEnd,
    ),
    bos,
    eos: [...eos],
    chatTemplate: chatTemplate(files, names.byName),
    origin: read.origin,
  } satisfies PipelineParts);
}

const PLAIN_TOKEN = { special: true, lstrip: false, rstrip: false, singleWord: false, normalized: false };

interface ReadModel {
  vocabulary: Vocabulary;
  model: PieceModel;
  wordEnd: string;
  origin: TokenizerOrigin;
}

function readModel(root: Field, cutting: PreTokenizing, long: HuggingFaceFiles["long"]): ReadModel {
  const field = root.get("model");
  const type = field.get("type").optionalString() ?? guessType(field);
  switch (type) {
    case "BPE":
      return readBpe(root, field, cutting, long);
    case "Unigram":
      return readUnigram(field);
    case "WordPiece": {
      const vocabulary = long?.vocabulary ?? readVocabulary(field.get("vocab"));
      const model = new WordPiece({
        vocabulary,
        prefix: field.get("continuing_subword_prefix").optionalString() ?? "##",
        unknown: unknownId(field, vocabulary) ?? field.get("unk_token").fail("is missing"),
        maxCharacters: field.get("max_input_chars_per_word").optionalInteger() ?? 100,
      });
      return { vocabulary, model, wordEnd: "", origin: { kind: "other", name: "WordPiece" } };
    }
    default:
      return field.get("type").fail(`the model "${type}" is not known`);
  }
}

const readVocabulary = (field: Field): Vocabulary =>
  Vocabulary.fromObject(field.object(), field.file, field.path);

/** Merges are written "a b" or ["a", "b"]. */
function readMerges(field: Field): ByteStrings {
  return ByteStrings.from(
    field.list().map((merge, i) => {
      const text = Array.isArray(merge) && merge.length === 2 ? `${merge[0]} ${merge[1]}` : merge;
      return typeof text === "string" && text.includes(" ")
        ? text
        : field.fail(`merge ${i} must be two tokens`);
    }),
  );
}

/** Old files do not name the model. */
function guessType(field: Field): string {
  if (!field.get("merges").absent) return "BPE";
  return Array.isArray(field.get("vocab").value) ? "Unigram" : "WordPiece";
}

function readBpe(
  root: Field,
  field: Field,
  cutting: PreTokenizing,
  long: HuggingFaceFiles["long"],
): ReadModel {
  const vocabulary = long?.vocabulary ?? readVocabulary(field.get("vocab"));
  const merges = long?.merges ?? readMerges(field.get("merges"));
  const wholeFirst = field.get("ignore_merges").boolean(false);
  const byteFallback = field.get("byte_fallback").boolean(false);
  const wordEnd = field.get("end_of_word_suffix").optionalString() ?? "";
  const byteLevel = cutting.byteLevel || ends(root.get("normalizer"), "ByteLevel");
  const continuingPrefix = field.get("continuing_subword_prefix").optionalString() ?? "";
  const model = new Bpe({
    file: field.file,
    vocabulary,
    pairs: { merges },
    byteLevel: cutting.byteLevel,
    byteFallback,
    wholeFirst,
    unknown: unknownId(field, vocabulary),
    fuseUnknown: field.get("fuse_unk").boolean(false),
    continuingPrefix,
    endSuffix: wordEnd,
  });
  const spaces = byteFallback ? spaceMarks(root) : undefined;
  let origin: TokenizerOrigin = { kind: "other", name: "BPE over characters" };
  if (byteLevel) origin = { kind: "byte-bpe", merges, patterns: cutting.patterns, wholeFirst };
  else if (spaces !== undefined)
    origin = { kind: "sentencepiece", scores: undefined, merges, spacePrefix: spaces.prefix };
  return { vocabulary, model, wordEnd, origin };
}

/** Whether spaces become marks and nothing else happens, as in SentencePiece; and whether one is put in front. */
function spaceMarks(root: Field): { prefix: boolean } | undefined {
  const cut = root.get("pre_tokenizer");
  const normalizer = root.get("normalizer");
  if (normalizer.absent) {
    if (cut.absent || cut.get("type").value !== "Metaspace") return undefined;
    return {
      prefix: cut.get("prepend_scheme").value !== "never" && cut.get("add_prefix_space").boolean(true),
    };
  }
  const isSequence = normalizer.get("type").value === "Sequence";
  const steps = isSequence ? normalizer.get("normalizers").items() : [normalizer];
  const prefix = steps[0]?.get("type").value === "Prepend";
  const [replace, more] = prefix ? steps.slice(1) : steps;
  if (replace?.get("type").value !== "Replace" || more !== undefined) return undefined;
  const marks =
    replace.get("content").value === "\u2581" && replace.get("pattern").get("String").value === " ";
  // A cut at spaces, which are marks by then, does nothing (Gemma).
  const cutsNothing =
    cut.absent || (cut.get("type").value === "Split" && cut.get("pattern").get("String").value === " ");
  return marks && cutsNothing ? { prefix } : undefined;
}

const ends = (normalizer: Field, type: string): boolean =>
  !normalizer.absent && normalizer.get("type").value === type;

function readUnigram(field: Field): ReadModel {
  const vocab = field.get("vocab");
  const tokens: string[] = [];
  const scores: number[] = [];
  for (const entry of vocab.list()) {
    const [token, score] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof token !== "string" || typeof score !== "number")
      return vocab.fail(`entry ${tokens.length} must be [token, score]`);
    tokens.push(token);
    scores.push(score);
  }
  const vocabulary = Vocabulary.fromList(tokens);
  const unknown = field.get("unk_id").integer();
  if (unknown >= tokens.length) field.get("unk_id").fail(`is not in the vocabulary of ${tokens.length}`);
  const byteFallback = field.get("byte_fallback").boolean(false);
  const model = new Unigram({ vocabulary, scores, skip: (id) => id === unknown, unknown, byteFallback });
  return { vocabulary, model, wordEnd: "", origin: { kind: "other", name: "Unigram" } };
}

function unknownId(field: Field, vocabulary: Vocabulary): number | undefined {
  const name = field.get("unk_token").optionalString();
  return name === undefined || name === "" ? undefined : vocabulary.id(name);
}

function readAddedTokens(root: Field, config: Field, vocabulary: Vocabulary): AddedToken[] {
  const added: AddedToken[] = [];
  const known = new Set<number>();
  const limit = idLimit(vocabulary.size);
  const add = (field: Field, id: number): void => {
    const content = field.get("content").string();
    if (id >= limit) field.fail(`the id ${id} is far outside the vocabulary of ${vocabulary.size}`);
    if (known.has(id)) return;
    known.add(id);
    const special = field.get("special").boolean(false);
    added.push({
      id,
      content,
      special,
      lstrip: field.get("lstrip").boolean(false),
      rstrip: field.get("rstrip").boolean(false),
      singleWord: field.get("single_word").boolean(false),
      normalized: field.get("normalized").boolean(!special),
    });
    if (vocabulary.token(id) !== content) vocabulary.add(content, id);
  };
  const list = root.get("added_tokens");
  if (!list.absent) for (const token of list.items()) add(token, token.get("id").integer());
  const decoder = config.get("added_tokens_decoder");
  if (!decoder.absent)
    for (const key of Object.keys(decoder.object())) {
      if (!/^\d{1,9}$/.test(key)) decoder.fail(`"${key.slice(0, 40)}" is not a token id`);
      add(decoder.get(key), Number(key));
    }
  return added;
}

/** These classes make BOS and EOS from two switches in the configuration, whatever tokenizer.json says. */
const SWITCHED = /^(Llama|CodeLlama|Gemma)Tokenizer(Fast)?$/;

function surroundings(
  root: Field,
  config: Field,
  vocabulary: Vocabulary,
  bos: number | undefined,
  eos: number | undefined,
): Surroundings {
  const made = makeSurroundings(root.get("post_processor"), vocabulary.size);
  if (!SWITCHED.test(config.get("tokenizer_class").optionalString() ?? "")) return made;
  const addBos = config.get("add_bos_token");
  const addEos = config.get("add_eos_token");
  if (addBos.absent && addEos.absent) return made;
  const wanted = (on: boolean, id: number | undefined): number[] => (on && id !== undefined ? [id] : []);
  return { prefix: wanted(addBos.boolean(true), bos), suffix: wanted(addEos.boolean(false), eos) };
}
