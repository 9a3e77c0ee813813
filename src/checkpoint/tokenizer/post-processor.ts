/**
 * The "post_processor" of a tokenizer.json as the ids before and after a single text. Knows nothing of
 * pairs of texts.
 */
import type { Field } from "./fields.ts";

export interface Surroundings {
  prefix: number[];
  suffix: number[];
}

const MAX_DEPTH = 16;

export function makeSurroundings(field: Field, vocabSize: number, depth = 0): Surroundings {
  if (field.absent) return { prefix: [], suffix: [] };
  if (depth > MAX_DEPTH) field.fail("nested too deeply");
  const type = field.get("type").string();
  switch (type) {
    case "ByteLevel":
      return { prefix: [], suffix: [] };
    case "BertProcessing":
    case "RobertaProcessing": {
      const id = (name: string): number =>
        checked(field.get(name).items()[1] ?? field.get(name).fail("must be [token, id]"), vocabSize);
      return { prefix: [id("cls")], suffix: [id("sep")] };
    }
    case "TemplateProcessing":
      return readTemplate(field, vocabSize);
    case "Sequence": {
      const all: Surroundings = { prefix: [], suffix: [] };
      for (const step of field.get("processors").items()) {
        const { prefix, suffix } = makeSurroundings(step, vocabSize, depth + 1);
        all.prefix.unshift(...prefix);
        all.suffix.push(...suffix);
      }
      return all;
    }
    default:
      return field.fail(`the post-processor "${type}" is not known`);
  }
}

function readTemplate(field: Field, vocabSize: number): Surroundings {
  const prefix: number[] = [];
  const suffix: number[] = [];
  const single = field.get("single");
  let texts = 0;
  for (const item of single.items()) {
    const special = item.get("SpecialToken");
    if (special.absent) {
      item.get("Sequence").object();
      texts++;
      continue;
    }
    const ids = field.get("special_tokens").get(special.get("id").string()).get("ids");
    for (const id of ids.items()) (texts === 0 ? prefix : suffix).push(checked(id, vocabSize));
  }
  if (texts !== 1) single.fail("must hold the text exactly once");
  return { prefix, suffix };
}

function checked(field: Field, vocabSize: number): number {
  const id = field.integer();
  return id < vocabSize ? id : field.fail(`the id ${id} is not in the vocabulary of ${vocabSize}`);
}
