/**
 * SentencePiece's precompiled normalization: a double-array trie (darts-clone) from byte strings to
 * replacements, longest match first. Knows nothing of the tokenizer around it.
 */
import { CheckpointError } from "../../base/errors.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { ignoreBOM: true });

/** The normalization that `blob` describes: a byte count, that many bytes of trie, then replacements that end in 0. */
export function precompiledNormalizer(
  blob: Uint8Array,
  file: string,
  field: string,
): (text: string) => string {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const trieBytes = blob.byteLength >= 4 ? view.getUint32(0, true) : 0;
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes + 4 > blob.byteLength)
    throw new CheckpointError(file, "the normalization table is cut short", { field });
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = blob.subarray(4 + trieBytes);

  const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  /** Length and place of the replacement of the longest key that begins at `start`. */
  const longest = (bytes: Uint8Array, start: number): [length: number, place: number] | undefined => {
    let found: [number, number] | undefined;
    let node = offset(units[0] as number);
    for (let i = start; i < bytes.length && bytes[i] !== 0; i++) {
      node ^= bytes[i] as number;
      const unit = units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== bytes[i]) break;
      node ^= offset(unit);
      if ((unit & 0x100) !== 0) found = [i - start + 1, (units[node] ?? 0) & 0x7fffffff];
    }
    return found;
  };
  const replacement = (place: number): Uint8Array => {
    const end = replacements.indexOf(0, place);
    return replacements.subarray(place, end < 0 ? replacements.length : end);
  };

  return (input) => {
    const bytes = utf8.encode(input);
    const parts: Uint8Array[] = [];
    let kept = 0;
    let at = 0;
    while (at < bytes.length) {
      const match = longest(bytes, at);
      if (match === undefined) {
        at += characterLength(bytes[at] as number);
        continue;
      }
      parts.push(bytes.subarray(kept, at), replacement(match[1]));
      at += match[0];
      kept = at;
    }
    if (kept === 0) return input;
    parts.push(bytes.subarray(kept));
    return parts.map((part) => text.decode(part)).join("");
  };
}

const characterLength = (lead: number): number => (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);
