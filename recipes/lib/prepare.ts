/**
 * From a corpus to a tokenizer, token files and held-out texts in a cache folder. Each step is done once: what is there
 * already, for the same data and settings, is taken.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ParameterError, type Tokenizer } from "fovea";
import {
  cleanBook,
  isHeldOut,
  openTokenizer,
  readCorpus,
  readJson,
  type Screen,
  TokenFile,
  TokenFileWriter,
  trainBpe,
  trainingCut,
  WordCounts,
  writeJson,
  writeTokenizer,
} from "fovea/learn";

export interface PreparedCorpus {
  readonly folder: string;
  readonly tokenizer: Tokenizer;
  readonly train: TokenFile;
  readonly validation: TokenFile;
  /** The held-out texts, cleaned. */
  readonly heldOut: readonly HeldOut[];
}

export interface HeldOut {
  readonly name: string;
  readonly text: string;
}

export interface PrepareOptions {
  readonly data: string;
  readonly folder: string;
  readonly vocabulary: number;
  readonly context: number;
  /** Share of the documents that is held out. */
  readonly share: number;
  /** Documents of at most this many, from the start; for trials. */
  readonly limit?: number;
  readonly screen: Screen;
}

export async function prepare(options: PrepareOptions): Promise<PreparedCorpus> {
  const { data, folder, vocabulary, context, share, limit = Number.MAX_SAFE_INTEGER, screen } = options;
  const digest = await digestOf(data);
  const identity = JSON.stringify({ digest, vocabulary, context, share, limit });
  mkdirSync(folder, { recursive: true });
  const done = join(folder, "corpus.json");
  if (readJson<{ identity: string }>(done)?.identity !== identity) {
    await make(options, limit);
    writeJson(done, { identity });
  } else screen.line(`corpus: as prepared in ${folder}`);
  const tokenizer = openTokenizer(folder);
  const train = TokenFile.open(join(folder, "train"));
  const validation = TokenFile.open(join(folder, "validation"));
  const texts = join(folder, "held-out.json");
  if (!tokenizer || !train || !validation || !existsSync(texts))
    throw new Error(`${folder} is not whole; remove it to prepare the corpus anew`);
  return {
    folder,
    tokenizer,
    train,
    validation,
    heldOut: JSON.parse(readFileSync(texts, "utf8")) as HeldOut[],
  };
}

/** Of what a file or the files of a folder hold, wherever they lie: a copy is the same data, an edited one is not. */
async function digestOf(data: string): Promise<string> {
  if (!existsSync(data)) throw new ParameterError("--data", `${data} is neither a folder nor a file`);
  const hash = createHash("sha256");
  const files = statSync(data).isDirectory()
    ? (readdirSync(data, { recursive: true }) as string[])
        .sort()
        .map((name) => [name, join(data, name)] as const)
    : [["", data] as const];
  for (const [name, path] of files) {
    if (!statSync(path).isFile()) continue;
    hash.update(name);
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
      hash.update(chunk as Buffer);
  }
  return hash.digest("hex");
}

async function make(
  { data, folder, vocabulary, context, share, screen }: PrepareOptions,
  limit: number,
): Promise<void> {
  const documents = async function* () {
    let count = 0;
    for await (const { name, text } of readCorpus(data)) {
      if (count++ >= limit) return;
      yield { name, text: cleanBook(text), heldOut: isHeldOut(name, share) };
    }
  };
  let began = performance.now();
  const lap = (): string => {
    const seconds = (performance.now() - began) / 1000;
    began = performance.now();
    return `${seconds.toFixed(1)} s`;
  };
  const words = new WordCounts(trainingCut());
  let count = 0;
  for await (const { name, text, heldOut } of documents()) {
    screen.update(`counting words: ${++count} documents, ${name}`);
    if (!heldOut) words.add(text);
  }
  // One token marks the end of a text.
  const trained = trainBpe(words.counts, { tokens: vocabulary - 1 });
  writeTokenizer(folder, trained, context);
  screen.line(
    `vocabulary of ${trained.tokens.length + 1} from ${words.counts.size} different words in ${count} documents: ${lap()}`,
  );

  const tokenizer = openTokenizer(folder)!;
  const train = new TokenFileWriter(join(folder, "train"), vocabulary);
  const validation = new TokenFileWriter(join(folder, "validation"), vocabulary);
  const texts: HeldOut[] = [];
  count = 0;
  for await (const { name, text, heldOut } of documents()) {
    screen.update(`making tokens: ${++count} documents, ${name}`);
    if (heldOut) texts.push({ name, text });
    const ids = [0, ...tokenizer.encode(text, { addSpecial: false, parseSpecial: false })];
    (heldOut ? validation : train).add(name, ids, Buffer.byteLength(text));
  }
  writeJson(join(folder, "held-out.json"), texts);
  const [learned, held] = [train.finish(), validation.finish()];
  screen.line(
    `tokens: ${learned.tokens} to learn from (${(learned.textBytes / learned.tokens).toFixed(2)} bytes each, ` +
      `${learned.documents.length} documents), ${held.tokens} held out (${held.documents.length}): ${lap()}`,
  );
}
