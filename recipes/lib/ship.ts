/**
 * The end of a training: the model in q8_0 as one GGUF file, measured beside its controls, with samples, a search for
 * recitation, and a card that tells all of it.
 */
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type LanguageModel, open, quantize } from "fovea";
import { cleanBook, readCorpus, type Screen, writeJson, writeText } from "fovea/learn";
import { card } from "./card.js";
import {
  type BitsPerByte,
  beginnings,
  bitsPerByte,
  bitsPerByteOf,
  longestShared,
  ngramBitsPerByte,
  type Recitation,
  sample,
} from "./evaluate.js";
import type { LlamaShape } from "./llama.js";
import { root } from "./places.js";
import type { HeldOut, PreparedCorpus } from "./prepare.js";

export interface RunFacts {
  readonly parameters: number;
  readonly step: number;
  readonly tokensPerStep: number;
  readonly seconds: number;
  /** In how many runs it was trained. */
  readonly runs: number;
  readonly device: string;
  readonly command: string;
  readonly rate: number;
}

export interface ShipOptions {
  /** Of the training; `model` in it holds the weights in f32. */
  readonly out: string;
  readonly target: string;
  readonly corpus: PreparedCorpus;
  readonly data: string;
  readonly picture: string;
  readonly shape: LlamaShape;
  readonly facts: RunFacts;
  /** Bytes of held-out text that are scored. */
  readonly scored: number;
  /** Samples that are searched for recitation. */
  readonly samples: number;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

export interface Figures {
  readonly f32: BitsPerByte;
  readonly q8: BitsPerByte;
  readonly ngram: number;
  readonly stories: number | undefined;
  readonly recited: Recitation;
  /** The same search with as much held-out text in place of samples. */
  readonly natural: Recitation;
  readonly samples: number;
  readonly shown: readonly { readonly temperature: number; readonly prompt: string; readonly text: string }[];
}

const PROMPTS = [
  "The old house stood at the end of the lane, and",
  "It was a bright, cold morning when the captain",
  '"I do not understand you," said the doctor,',
];
const SAMPLE_TOKENS = 200;

export async function ship(options: ShipOptions): Promise<void> {
  const { out, target, corpus, data, picture, screen, signal } = options;
  mkdirSync(target, { recursive: true });
  const file = join(target, "model.gguf");
  // The tokenizer's files go with the weights.
  copyTokenizer(corpus.folder, join(out, "model"));
  const report = await quantize(join(out, "model"), { format: "q8_0", out: file });
  writeJson(join(target, "generation_config.json"), generation);
  screen.line(`${file}: ${(report.bytesAfter / 1e6).toFixed(2)} MB of weights in q8_0`);

  const texts = beginnings(corpus.heldOut, options.scored);
  const f32 = await bitsPerByteOf(join(out, "model"), texts, screen, signal);
  const model = await open(file, { packedCache: false });
  try {
    const q8 = await bitsPerByte(model, texts, screen, signal);
    screen.line(
      `bits per byte on ${q8.bytes} held-out bytes: ${q8.bits.toFixed(4)} (f32: ${f32.bits.toFixed(4)})`,
    );
    const ngram = ngramBitsPerByte(
      join(corpus.folder, "train"),
      options.shape.vocabulary,
      encoded(corpus, texts),
      screen,
    );
    screen.line(`5-grams: ${ngram.toFixed(4)}`);
    const tiny = join(process.env.FOVEA_SHARED ?? join(root, "../shared"), "models/stories260K/hf");
    const stories = existsSync(tiny) ? (await bitsPerByteOf(tiny, texts, screen, signal)).bits : undefined;
    if (stories !== undefined) screen.line(`stories260K: ${stories.toFixed(4)}`);
    const shown = await samplesToShow(model, signal);
    const { recited, natural } = await recitation(model, options, data);
    screen.line(
      `longest run shared with the training text: ${recited.bytes} bytes, ${recited.tokens} tokens`,
    );
    const figures: Figures = { f32, q8, ngram, stories, recited, natural, samples: options.samples, shown };
    writeJson(join(out, "figures.json"), { ...figures, facts: options.facts, shape: options.shape });
    writeText(join(target, "curves.svg"), picture);
    writeText(join(target, "README.md"), card(options, figures, report.bytesAfter));
    screen.line(`${target}: model, card, curves`);
  } finally {
    await model.close();
  }
}

const generation = { bos_token_id: 0, eos_token_id: 0, do_sample: true, temperature: 0.8, top_p: 0.95 };

function copyTokenizer(from: string, to: string): void {
  for (const name of ["tokenizer.json", "tokenizer_config.json"])
    copyFileSync(join(from, name), join(to, name));
}

const encoded = ({ tokenizer }: PreparedCorpus, texts: readonly HeldOut[]) =>
  texts.map(({ text }) => ({
    ids: tokenizer.encode(text, { addSpecial: false, parseSpecial: false }),
    bytes: Buffer.byteLength(text),
  }));

async function samplesToShow(model: LanguageModel, signal: AbortSignal): Promise<Figures["shown"]> {
  const shown: { temperature: number; prompt: string; text: string }[] = [];
  for (const temperature of [0, 0.8]) {
    const made = await sample(model, PROMPTS, { temperature, maxTokens: 120, seed: 1 }, signal);
    for (const [i, text] of made.entries()) shown.push({ temperature, prompt: PROMPTS[i]!, text });
  }
  return shown;
}

/** Samples go on where held-out paragraphs begin; the control is how those paragraphs go on in truth. */
async function recitation(
  model: LanguageModel,
  { corpus, samples, screen, signal }: ShipOptions,
  data: string,
) {
  const paragraphs = corpus.heldOut.flatMap(({ text }) =>
    text.split("\n\n").filter((part) => part.length > 600),
  );
  const picked = Array.from(
    { length: Math.min(samples, paragraphs.length) },
    (_, i) => paragraphs[Math.floor((i * paragraphs.length) / samples)]!,
  );
  const cuts = picked.map((text) => text.indexOf(" ", 50));
  const prompts = picked.map((text, i) => text.slice(0, cuts[i]));
  const made = await sample(
    model,
    prompts,
    { temperature: 0.8, maxTokens: SAMPLE_TOKENS, seed: 1000 },
    signal,
  );
  const truth = picked.map((text, i) => text.slice(cuts[i]!, cuts[i]! + (made[i]?.length ?? 0)));
  const tokens = (text: string): number => corpus.tokenizer.encode(text, { addSpecial: false }).length;
  const learned = async function* () {
    for await (const { name, text } of readCorpus(data)) {
      if (corpus.train.facts.documents.some((document) => document.name === name)) yield cleanBook(text);
      screen.update(`looking for recitation: ${name}`);
    }
  };
  return {
    recited: await longestShared(made, learned(), tokens),
    natural: await longestShared(truth, learned(), tokens),
  };
}
