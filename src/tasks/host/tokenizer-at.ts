/** Opens the tokenizer of a checkpoint, and no more of it. */
import { locate } from "../../checkpoint/locate.ts";
import { openCheckpoint } from "../../checkpoint/open.ts";
import { type Tokenizer, tokenizerOf } from "../../checkpoint/tokenizer/index.ts";

/** @param what as for `open` */
export function tokenizerAt(what: string): Tokenizer | undefined {
  const files = locate(what);
  const checkpoint = openCheckpoint(files);
  try {
    return tokenizerOf(checkpoint, files.folder);
  } finally {
    checkpoint.close();
  }
}
