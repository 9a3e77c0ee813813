/** The text kit: corpora, vocabularies, tokens on disk, and the order in which they are learned from. */
export { type BpeTraining, type Merge, type TrainedBpe, trainBpe } from "./bpe-trainer.ts";
export { cleanBook } from "./clean.ts";
export { type Document, readCorpus } from "./corpus.ts";
export { isHeldOut } from "./split.ts";
export { type TokenFacts, TokenFile, TokenFileWriter } from "./token-file.ts";
export { END_OF_TEXT, tokenizerJson, trainingCut, writeTokenizer } from "./tokenizer-files.ts";
export { Windows } from "./windows.ts";
export { WordCounts } from "./word-counts.ts";
