/** Small models that learn, for tests, and the loss of a batch of made-up tokens. */
import { BatchAttention, makeBatch } from "../../src/cache/index.ts";
import { Fields } from "../../src/checkpoint/config.ts";
import type { Recompute } from "../../src/grad/index.ts";
import { loadTrainable, type TrainableModel } from "../../src/models/index.ts";
import type { Decoder } from "../../src/nn/index.ts";
import { crossEntropy, type Device, mul, type Stream, sum, type Tensor } from "../../src/ops/index.ts";
import { Random } from "./random.ts";

const common = {
  ...{ vocab_size: 23, max_position_embeddings: 32, hidden_size: 16, intermediate_size: 24 },
  ...{ num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 4 },
  ...{ rms_norm_eps: 1e-5, tie_word_embeddings: true },
};

export const configs = {
  llama: { ...common, architectures: ["LlamaForCausalLM"], hidden_act: "silu" },
  qwen3: { ...common, architectures: ["Qwen3ForCausalLM"], hidden_act: "silu", tie_word_embeddings: false },
  mixtral: {
    ...{ ...common, architectures: ["MixtralForCausalLM"], hidden_act: "silu" },
    ...{ num_local_experts: 4, num_experts_per_tok: 2, sliding_window: null },
  },
  gemma2: {
    ...{ ...common, architectures: ["Gemma2ForCausalLM"], hidden_activation: "gelu_pytorch_tanh" },
    ...{ query_pre_attn_scalar: 8, sliding_window: 3, attn_logit_softcapping: 3, final_logit_softcapping: 5 },
  },
  gpt2: {
    ...{ architectures: ["GPT2LMHeadModel"], vocab_size: 23, n_positions: 16, n_embd: 16, n_head: 4 },
    ...{ n_layer: 2, activation_function: "gelu_new", layer_norm_epsilon: 1e-5, tie_word_embeddings: true },
  },
  stablelm: {
    ...{ ...common, architectures: ["StableLmForCausalLM"], hidden_act: "silu", layer_norm_eps: 1e-5 },
    ...{ qk_layernorm: true, use_qkv_bias: true, use_parallel_residual: true, partial_rotary_factor: 0.5 },
  },
};

const biased: readonly string[] = ["gpt2", "stablelm"];

/** A model with random weights, large enough that gradients are. */
export function tinyModel(
  name: keyof typeof configs,
  device: Device,
  { deviation = 0.25, learns }: { deviation?: number; learns?: (name: string) => boolean } = {},
): Promise<TrainableModel> {
  const has = (tensor: string): boolean => biased.includes(name) && tensor.endsWith(".bias");
  const initialization = { seed: 1, deviation: () => deviation, has };
  return loadTrainable(
    initialization,
    new Fields(name, structuredClone(configs[name]) as ConstructorParameters<typeof Fields>[1]),
    device,
    learns,
  );
}

/** Sequences of made-up tokens, as inputs and as what comes next. */
export function tokens(lengths: readonly number[], vocabulary = 23, seed = 7) {
  const random = new Random(seed);
  return lengths.map((length) => {
    const all = Array.from({ length: length + 1 }, () => random.int(0, vocabulary - 1));
    return { ids: all.slice(0, -1), targets: all.slice(1) };
  });
}

/** The mean cross-entropy of the next tokens. */
export function nextTokenLoss(
  s: Stream,
  decoder: Decoder,
  sequences: ReturnType<typeof tokens>,
  { recompute, causal = true }: { recompute?: Recompute; causal?: boolean } = {},
): Tensor {
  const batch = makeBatch(sequences.map(({ ids }, sequence) => ({ sequence, ids, start: 0 })));
  const around = recompute && ((_: number, run: () => Tensor) => recompute(run));
  const cache = new BatchAttention({ causal });
  const hidden = decoder.forward(s, batch, cache, { ...(around && { around }) });
  const n = batch.ids.length;
  const logits = decoder.logits(
    s,
    hidden,
    Int32Array.from({ length: n }, (_, i) => i),
  );
  const targets = s.constant(Int32Array.from(sequences.flatMap((sequence) => sequence.targets)));
  const weights = s.constant(new Float32Array(n).fill(1 / n), [n, 1]);
  return sum(s, mul(s, crossEntropy(s, logits, targets), weights), [1, 1]);
}
