/** Seeded damage to byte strings, for tests that feed broken files to parsers. */
import { CheckpointError } from "../../src/base/errors.ts";
import type { Random } from "./random.ts";

const extremes: readonly bigint[] = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fff_ffffn,
  0xffff_ffffn,
  2n ** 40n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const fragments = [
  "[",
  "]",
  "{",
  "}",
  '"',
  "\\",
  ",",
  ":",
  "-1",
  "1e999",
  "null",
  "9007199254740993",
  "\0",
  "\xff",
  '"__proto__":',
];

/**
 * A damaged copy of `bytes`: flipped bytes, a cut end, an extreme number, a spliced or doubled piece, or a
 * fragment of JSON. Damage falls on the first `header` bytes for the most part.
 */
export function mutate(bytes: Uint8Array, header: number, random: Random): Uint8Array {
  const place = (): number => random.int(0, random.next() < 0.9 ? header : bytes.length);
  const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
  let out: Uint8Array = bytes.slice();
  for (let damage = random.int(1, 3); damage > 0 && out.length > 0; damage--) {
    const at = Math.min(place(), out.length - 1);
    /** Puts a piece in, beside or in place of what is there. */
    const put = (piece: Uint8Array) => {
      out = join(out.slice(0, at), piece, out.slice(at + random.pick([0, piece.length])));
    };
    switch (random.int(0, 5)) {
      case 0:
        for (let n = random.int(1, 4); n > 0; n--)
          out[Math.min(at + random.int(0, 7), out.length - 1)] = random.int(0, 255);
        break;
      case 1:
        out = out.slice(0, at);
        break;
      case 2: {
        const width = random.pick([4, 8]);
        const value = random.pick(extremes);
        for (let i = 0; i < width && at + i < out.length; i++)
          out[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
        break;
      }
      case 3: {
        const from = place();
        put(out.slice(from, from + random.int(1, 64)));
        break;
      }
      case 4:
        out = join(out.slice(0, at), out.slice(at + random.int(1, 16)));
        break;
      default:
        put(Buffer.from(random.pick(fragments), "latin1"));
    }
  }
  return out;
}

/** Runs `action`; true when it succeeds, false when it is refused with an error of ours. Others pass through. */
export function accepted(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}
