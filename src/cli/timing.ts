/** Times and rates of a generation with the names that JSON output has. */
import type { GenerationTiming } from "../tasks/types.ts";

export const timingJson = (timing: GenerationTiming) => ({
  prompt_ms: timing.promptMs,
  first_token_ms: timing.firstTokenMs,
  generate_ms: timing.generateMs,
  prompt_tokens_per_second: timing.promptTokensPerSecond,
  tokens_per_second: timing.tokensPerSecond,
});
