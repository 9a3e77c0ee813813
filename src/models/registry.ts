/** All architectures. A new one is a file in this folder and a line here (docs/add-a-model.md). */
import { CheckpointError } from "../base/errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { Fields } from "../checkpoint/config.ts";
import type { Architecture } from "./architecture.ts";
import { gemma } from "./gemma.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { architectureMetadata } from "./gguf-config.ts";
import { gptNeoX } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { llama, mistral } from "./llama.ts";
import { mixtral } from "./mixtral.ts";
import { olmo2 } from "./olmo2.ts";
import { olmoe } from "./olmoe.ts";
import { phi3 } from "./phi3.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { qwen2Moe } from "./qwen2-moe.ts";
import { smolLm3 } from "./smollm3.ts";
import { stableLm } from "./stablelm.ts";
import { starcoder2 } from "./starcoder2.ts";

export const architectures: readonly Architecture[] = [
  gemma,
  gemma2,
  gemma3,
  gpt2,
  gptNeoX,
  llama,
  mistral,
  mixtral,
  olmo2,
  olmoe,
  phi3,
  qwen2,
  qwen2Moe,
  qwen3,
  smolLm3,
  stableLm,
  starcoder2,
];

/** The architecture that a config.json names. */
export function architectureOf(config: Fields): Architecture {
  const names = config.strings("architectures", { default: [] });
  const modelType = config.string("model_type", { default: "" });
  const found =
    architectures.find((a) => names.some((name) => a.names.includes(name))) ??
    (names.length === 0 ? architectures.find((a) => a.modelType === modelType) : undefined);
  if (found) return found;
  const known = architectures.flatMap((a) => a.names).join(", ");
  return config.fail(
    "architectures",
    `[${names}] (model_type "${modelType}") is none that Fovea knows: ${known}`,
  );
}

/** The architecture that a GGUF file names. */
export function architectureOfGguf(checkpoint: Checkpoint): Architecture {
  const name = new Fields(checkpoint.path, checkpoint.metadata).string("general.architecture");
  const metadata = architectureMetadata(checkpoint, name);
  const found = architectures.find((a) => a.gguf.architecture === name && (a.gguf.when?.(metadata) ?? true));
  if (found) return found;
  const known = [...new Set(architectures.map((a) => a.gguf.architecture))].join(", ");
  throw new CheckpointError(
    checkpoint.path,
    `"${name}" is none of the architectures that Fovea knows: ${known}`,
    {
      field: "general.architecture",
    },
  );
}
