/** Which part of a growing text to read out next: whole sentences. Pure. */

const end = /[.!?…:]["'”’)\]]*(?=\s)|\n/g;

/** The piece from `from` to the last sentence end, or to the end when nothing will follow; and where the next begins. */
export function nextSpeech(text: string, from: number, complete: boolean): readonly [string, number] {
  if (complete) return [text.slice(from).trim(), text.length];
  const rest = text.slice(from);
  const last = [...rest.matchAll(end)].at(-1);
  if (last === undefined) return ["", from];
  const length = last.index + last[0].length;
  return [rest.slice(0, length).trim(), from + length];
}
