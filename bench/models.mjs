/**
 * GGUF files of known shapes with random weights, made once and shared by both engines. Speed does not depend
 * on the values, nor on a meaningful vocabulary.
 */
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Fields } from "../dist/checkpoint/config.js";
import { writeGguf } from "../dist/checkpoint/gguf-writer.js";
import { locate } from "../dist/checkpoint/locate.js";
import { openCheckpoint } from "../dist/checkpoint/open.js";
import { randomCheckpoint } from "../dist/checkpoint/random.js";
import { architectureOf, ggufContents } from "../dist/models/index.js";

export { shapeNames } from "../dist/checkpoint/random-shapes.js";

/** The model that ships. */
export function defaultModel() {
  const path = fileURLToPath(new URL("../models/default/model.gguf", import.meta.url));
  const checkpoint = openCheckpoint(locate(path));
  const [vocabulary] = checkpoint.tensors.get("token_embd.weight").shape;
  checkpoint.close();
  return { path, vocabulary };
}

const string = (value) => ({ type: "string", value });

/** The file's path and the size of its vocabulary. All matrices are in the one format. */
export async function benchModel(shape, format) {
  const { checkpoint, config } = randomCheckpoint(shape, format);
  const fields = new Fields(checkpoint.path, config);
  const architecture = architectureOf(fields);
  const contents = ggufContents(architecture, checkpoint, fields);
  const tensors = contents.weights.map(({ name, shape, sources }) => {
    const { format } = checkpoint.tensors.get(sources[0]);
    return { name, shape, format, source: sources[0] };
  });
  const folder = join(tmpdir(), "fovea-bench");
  const path = join(folder, `${shape}-${format}.gguf`);
  if (!existsSync(path)) {
    console.error(`writing ${path} ...`);
    mkdirSync(folder, { recursive: true });
    const rows = tensors.find(({ name }) => name === "token_embd.weight").shape[0];
    const metadata = new Map([
      ["general.architecture", string(architecture.gguf.architecture)],
      ["general.name", string(`${shape} with random weights`)],
      ...contents.metadata,
      ...vocabulary(rows),
    ]);
    await writeGguf(path, metadata, tensors, ({ source }) => checkpoint.bytes(source));
  }
  return { path, vocabulary: config.vocab_size };
}

/** Texts without meaning, in the byte alphabet of GPT-2's vocabulary. */
function vocabulary(size) {
  const tokens = Array.from({ length: size }, (_, i) => `t${i}`);
  tokens[1] = "Ċ"; // llama.cpp looks for the newline
  const entries = {
    model: string("gpt2"),
    pre: string("gpt-2"),
    tokens: { type: "string", value: tokens },
    token_type: { type: "i32", value: tokens.map(() => 1) },
    merges: { type: "string", value: ["t 1"] },
    bos_token_id: { type: "u32", value: 0 },
    eos_token_id: { type: "u32", value: 0 },
  };
  return Object.entries(entries).map(([key, entry]) => [`tokenizer.ggml.${key}`, entry]);
}
