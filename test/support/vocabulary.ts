/** Gives a GGUF file a vocabulary of no meaning: node-llama-cpp cannot open a file that has none. */
import { FileSource } from "../../src/checkpoint/file.ts";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import { type GgufEntry, writeGguf } from "../../src/checkpoint/gguf-writer.ts";
import type { FormatName } from "../../src/format/index.ts";

/** Copies the file, with a SentencePiece vocabulary (257 tokens or more) as long as the embedding. */
export async function withVocabulary(from: string, to: string): Promise<void> {
  const file = openGguf(new FileSource(from));
  const metadata = new Map<string, GgufEntry>();
  for (const [key, value] of file.metadata)
    if (!key.startsWith("tokenizer.")) metadata.set(key, { type: file.metadataTypes!.get(key)!, value });
  const size = file.tensors.get("token_embd.weight")!.shape[0]!;
  const tokens = Array.from({ length: size }, (_, i) => tokenText(i));
  // llama.cpp expects certain tokens of models that it knows by name.
  metadata.set("general.name", { type: "string", value: "random" });
  const entries: Record<string, GgufEntry> = {
    model: { type: "string", value: "llama" },
    tokens: { type: "string", value: tokens },
    scores: { type: "f32", value: tokens.map((_, i) => -i) },
    token_type: { type: "i32", value: tokens.map((_, i) => (i === 0 ? 2 : i <= 256 ? 6 : 1)) },
    bos_token_id: { type: "u32", value: 1 },
    eos_token_id: { type: "u32", value: 2 },
    add_bos_token: { type: "bool", value: false },
  };
  for (const [key, entry] of Object.entries(entries)) metadata.set(`tokenizer.ggml.${key}`, entry);
  const tensors = [...file.tensors.values()].map((t) => ({ ...t, format: t.format as FormatName }));
  await writeGguf(to, metadata, tensors, ({ name }) => file.bytes(name));
  file.close();
}

/** The unknown token, one for each byte (llama.cpp looks for that of a newline), then words. */
const tokenText = (i: number): string =>
  i === 0 ? "<unk>" : i <= 256 ? `<0x${(i - 1).toString(16).toUpperCase().padStart(2, "0")}>` : `\u2581${i}`;
