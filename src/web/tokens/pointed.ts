/** The one token that is pointed at, by mouse, finger or keys, wherever it is. */
import { useEffect, useState } from "preact/hooks";
import type { Span } from "./marked.ts";

export interface Pointed {
  readonly span: Span;
  readonly element: Element;
  /** Whether keys chose it: then it is read out too. */
  readonly byKeys: boolean;
}

let current: Pointed | undefined;
const listeners = new Set<() => void>();

export function point(pointed: Pointed | undefined): void {
  if (pointed?.element === current?.element && pointed?.span === current?.span) return;
  current?.element.classList.remove("pointed");
  current = pointed;
  current?.element.classList.add("pointed");
  for (const listener of listeners) listener();
}

export function usePointed(): Pointed | undefined {
  const [pointed, setPointed] = useState(current);
  useEffect(() => {
    const look = () => setPointed(current);
    look();
    listeners.add(look);
    return () => void listeners.delete(look);
  }, []);
  return pointed;
}
