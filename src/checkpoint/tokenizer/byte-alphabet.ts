/**
 * GPT-2's alphabet: 256 printable characters that stand for the 256 bytes, so that byte-level vocabularies
 * can be written as text (Radford et al. 2019, `bytes_to_unicode`). Knows nothing of vocabularies.
 */

/** Character by byte. */
export const byteCharacters: readonly string[] = (() => {
  const plain = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let extra = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(plain(byte) ? byte : extra++));
})();

const byteOfCharacter = new Map(byteCharacters.map((character, byte) => [character, byte]));
const utf8 = new TextEncoder();

/** "é" as it stands in a byte-level vocabulary: "Ã©". */
export function toByteAlphabet(text: string): string {
  let out = "";
  for (const byte of utf8.encode(text)) out += byteCharacters[byte];
  return out;
}

/** The bytes of a byte-level token; undefined when it has a character outside the alphabet. */
export function fromByteAlphabet(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token[i] as string);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
