/** Opens a checkpoint in a process of its own; the vocabulary is read here too, for whoever speaks in text. */
import type { OpenOptions } from "../types.ts";
import { HostedModel } from "./hosted-model.ts";
import { tokenizerAt } from "./tokenizer-at.ts";

/** As `open`. @param onCrash told when the process has ended unexpectedly; another is started by itself */
export async function openHosted(
  what: string,
  { signal, onProgress, ...plain }: OpenOptions,
  onCrash?: (error: Error) => void,
): Promise<HostedModel> {
  const tokenizer = tokenizerAt(what);
  return HostedModel.open({ source: { path: what }, open: plain, tokenizer, onProgress, signal, onCrash });
}
