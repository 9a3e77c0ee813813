/** The card of the model that ships: what it is, how it was made, what it can and cannot do. */
import { cpus } from "node:os";
import { duration } from "fovea/learn";
import type { Figures, ShipOptions } from "./ship.js";

const quoted = (text: string): string =>
  text
    .trim()
    .split("\n")
    .map((line) => `> ${line}`)
    .join("\n");
const million = (count: number): string => `${(count / 1e6).toFixed(count < 1e7 ? 2 : 1)} million`;

export function card({ corpus, shape, facts, scored }: ShipOptions, figures: Figures, bytes: number): string {
  const { train, validation } = corpus;
  const tokens = facts.step * facts.tokensPerStep;
  const epochs = tokens / train.facts.tokens;
  const { f32, q8, ngram, stories, recited, natural, samples, shown } = figures;
  const books = q8.byText.map(
    ({ name, bits, bytes }) => `| ${title(name)} | ${bytes} | ${bits.toFixed(3)} |`,
  );
  return `# Fovea's default model

A small language model that continues English prose. It was trained by Fovea itself, on public-domain books, with the recipe in \`recipes/default.ts\`. It does not chat, follows no instructions, and knows nothing reliably.

| | |
| --- | --- |
| architecture | Llama: ${shape.depth} layers of width ${shape.width}, ${shape.heads} heads (${shape.kvHeads} for keys and values), feed-forward ${shape.ffn}, tied embeddings |
| parameters | ${million(facts.parameters)} |
| vocabulary | ${shape.vocabulary}: byte-level BPE, learned from the same books; \`<|endoftext|>\` begins and ends texts |
| context | ${shape.context} tokens |
| file | \`model.gguf\`, q8_0, ${(bytes / 1e6).toFixed(1)} MB, with its tokenizer |
| licence | Apache-2.0, as Fovea; the books are in the public domain in the United States |

## How it was made

- **Data.** ${train.facts.documents.length} books, ${million(train.facts.textBytes)} bytes, ${million(train.facts.tokens)} tokens, from the repository mlschmitt/classic-books-markdown. Front matter and the marks of markdown were taken away (\`cleanBook\`); nothing was filtered otherwise.
- **Held out.** ${validation.facts.documents.length} whole books, chosen by a hash of their names: ${million(validation.facts.textBytes)} bytes. Their authors may have other books among those that were learned from.
- **Training.** ${facts.step} steps of ${facts.tokensPerStep} tokens: ${million(tokens)} tokens, ${epochs.toFixed(1)} passes over the books. AdamW, peak rate ${facts.rate}, warm-up, stable, decay; weights in f32, products of operands rounded to bf16.
- **Shape.** Compared with others in short runs of the same compute: \`recipes/README.md\`.
- **Cost.** ${duration(facts.seconds)} in ${facts.runs} ${facts.runs === 1 ? "run" : "runs"} on ${facts.device} (${cpus()[0]?.model.trim() ?? "unknown CPU"}).
- **Command.** \`${facts.command}\`, the last; without \`--finish\` the same goes on and on.

![Loss over tokens](curves.svg)

## What it is worth

Bits per byte of UTF-8, over ${q8.bytes === corpus.validation.facts.textBytes ? "all held-out books" : `the beginnings of all held-out books, ${q8.bytes} bytes`}; each token sees at least half a context of what stands before it, once there is as much. Lower is better.

| model | bits per byte |
| --- | --- |
| **this one, q8_0** | **${q8.bits.toFixed(3)}** |
| this one, f32 | ${f32.bits.toFixed(3)} |
| 5-grams over the same tokens, interpolated Kneser-Ney, from the same books | ${ngram.toFixed(3)} |
${stories === undefined ? "" : `| stories260K (260 thousand parameters, children's stories) | ${stories.toFixed(3)} |\n`}
| book | bytes | bits per byte |
| --- | --- | --- |
${books.join("\n")}

## Does it recite?

The longest run that ${samples} samples (temperature 0.8, ${"200"} tokens each, going on where held-out paragraphs begin) share with the training text has ${recited.bytes} bytes, ${recited.tokens} tokens:

${quoted(recited.text)}

For comparison: the true continuations of those paragraphs, which the model has never seen, share a run of ${natural.bytes} bytes, ${natural.tokens} tokens, with the training text:

${quoted(natural.text)}

## Samples

${shown.map(({ temperature, prompt, text }) => `Temperature ${temperature}:\n\n${quoted(`**${prompt}**${text}`)}`).join("\n\n")}

## Limits

- It writes sentences that sound like old books and seldom make sense for longer than a paragraph. It has no facts to give.
- The books were mostly written before 1930, and are mostly by British and American authors. The model repeats their views, among them racist and sexist ones; its output should not be taken for anybody's opinion or for fact.
- English only. Code, arithmetic, dialogue with a user: it has never seen any.
- The figures above are of text in its cleaned form, and of these books; ${scored.toLocaleString("en")} bytes were to be scored at most.
`;
}

const title = (name: string): string =>
  name
    .replace(/^books\//, "")
    .replace(/\.(md|txt)$/, "")
    .replaceAll("|", "\\|");
