/** Which documents are held out. Knows names only, so that a document stays on its side when others come or go. */
import { createHash } from "node:crypto";
import { ParameterError } from "../../base/errors.ts";

/**
 * Whether a document is for validation: true for about the given share of all names, chosen by a hash (SHA-256) of
 * seed and name.
 */
export function isHeldOut(name: string, share: number, seed = 0): boolean {
  if (!(share >= 0 && share <= 1)) throw new ParameterError("share", `must be between 0 and 1, not ${share}`);
  const digest = createHash("sha256").update(`${seed}\0${name}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48 < share;
}
