/**
 * A checkpoint that chats and calls tools, made on the spot: random weights, bytes as tokens, a template of the Hermes
 * kind. What it says is noise, except where a grammar decides.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeRandomCheckpoint } from "./random-checkpoint.ts";

const specials = ["<|im_start|>", "<|im_end|>"];

/** The characters that stand for bytes in byte-level vocabularies: printable ones for themselves, others from 256 on. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCharCode(printable ? byte : next++);
  });
}

const template = `{%- if tools %}<|im_start|>system
Tools: {{ tools | tojson }}
Answer with <tool_call> marks.<|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}
<tool_call>
{{ call.function | tojson }}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** @returns the folder, and what removes it */
export async function tinyChat(): Promise<{ folder: string; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), "fovea-tiny-"));
  const characters = byteCharacters();
  const vocabulary = Object.fromEntries([...characters, ...specials].map((token, id) => [token, id]));
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: 258,
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    eos_token_id: 257,
  };
  await writeRandomCheckpoint(folder, config, () => false);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const tokenizer = {
    version: "1.0",
    added_tokens: specials.map((content, i) => ({
      ...{ id: 256 + i, content, special: true, normalized: false },
      ...{ single_word: false, lstrip: false, rstrip: false },
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", vocab: vocabulary, merges: [], fuse_unk: false, byte_fallback: false },
  };
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  writeFileSync(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({
      chat_template: template,
      eos_token: "<|im_end|>",
      tokenizer_class: "GPT2TokenizerFast",
    }),
  );
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
