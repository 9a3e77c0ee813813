/** A tiny Llama with random weights whose tokens are bytes and special marks, with a chat template, on disk. */
import { writeFileSync } from "node:fs";
import { writeRandomCheckpoint } from "./random-checkpoint.ts";

/** The characters that byte-level BPE writes bytes as. */
function byteCharacters(): string[] {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

export async function writeChattingModel(
  folder: string,
  template: string,
  special: readonly string[],
): Promise<void> {
  const marks = ["<s>", "</s>", ...special];
  const size = 256 + marks.length;
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2 },
    ...{ num_key_value_heads: 1, vocab_size: size, max_position_embeddings: 4096, rms_norm_eps: 1e-5 },
    ...{ rope_theta: 10000, tie_word_embeddings: false, bos_token_id: 256, eos_token_id: 257 },
  };
  await writeRandomCheckpoint(folder, config, () => true);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const tokenizer = {
    version: "1.0",
    added_tokens: marks.map((content, i) => ({
      ...{ id: 256 + i, content, special: true, normalized: false },
      ...{ single_word: false, lstrip: false, rstrip: false },
    })),
    ...{ normalizer: null, pre_tokenizer: byteLevel, post_processor: null, decoder: byteLevel },
    model: {
      ...{ type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null },
      ...{ end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, merges: [] },
      vocab: Object.fromEntries(byteCharacters().map((c, i) => [c, i])),
    },
  };
  writeFileSync(`${folder}/tokenizer.json`, JSON.stringify(tokenizer));
  const own = { chat_template: template, bos_token: "<s>", eos_token: "</s>" };
  writeFileSync(`${folder}/tokenizer_config.json`, JSON.stringify(own));
}
