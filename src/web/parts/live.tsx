/** Reads an answer out to those who listen: by sentences and not too often, never token by token. */
import { useEffect, useRef, useState } from "preact/hooks";
import { nextSpeech } from "./speech.ts";

/** Milliseconds between two utterances; a screen reader needs longer for a sentence anyway. */
const pause = 1500;

interface Props {
  /** Changes with each answer. */
  readonly id: string | undefined;
  readonly text: string;
  readonly running: boolean;
}

export function Live({ id, text, running }: Props) {
  const [said, setSaid] = useState("");
  const latest = useRef({ text, running });
  latest.current = { text, running };
  const timer = useRef<ReturnType<typeof setInterval>>(undefined);
  useEffect(() => () => clearInterval(timer.current), [id]);
  // It goes on when the answer has ended, until all is said.
  useEffect(() => {
    if (id === undefined || !running) return;
    let from = latest.current.text.length;
    setSaid("The model writes.");
    clearInterval(timer.current);
    timer.current = setInterval(() => {
      const { text, running } = latest.current;
      const [piece, next] = nextSpeech(text, from, !running);
      from = next;
      if (piece !== "") setSaid(piece);
      else if (!running) {
        setSaid("The answer is complete.");
        clearInterval(timer.current);
      }
    }, pause);
  }, [id, running]);
  return (
    <div class="hidden" role="status">
      {said}
    </div>
  );
}
