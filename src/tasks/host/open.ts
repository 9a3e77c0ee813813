/** Opens a checkpoint in a process of its own; the vocabulary is read here too, for whoever speaks in text. */
import { locate } from "../../checkpoint/locate.ts";
import { openCheckpoint } from "../../checkpoint/open.ts";
import { type Tokenizer, tokenizerOf } from "../../checkpoint/tokenizer/index.ts";
import type { OpenOptions } from "../types.ts";
import { HostedModel } from "./hosted-model.ts";

/** As `open`. @param onCrash told when the process has ended unexpectedly; another is started by itself */
export async function openHosted(
  what: string,
  { signal, onProgress, ...plain }: OpenOptions,
  onCrash?: (error: Error) => void,
): Promise<HostedModel> {
  const files = locate(what);
  const checkpoint = openCheckpoint(files);
  let tokenizer: Tokenizer | undefined;
  try {
    tokenizer = tokenizerOf(checkpoint, files.folder);
  } finally {
    checkpoint.close();
  }
  return HostedModel.open({ source: { path: what }, open: plain, tokenizer, onProgress, signal, onCrash });
}
