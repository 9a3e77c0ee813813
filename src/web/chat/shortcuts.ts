/** What keys do, wherever the focus is. */
import { useEffect, useRef } from "preact/hooks";
import { chats } from "../store/page.ts";

interface Actions {
  readonly list: () => void;
  readonly settings: () => void;
  readonly help: () => void;
}

export const shortcuts: readonly (readonly [keys: string, what: string])[] = [
  ["Enter", "send the message"],
  ["Shift Enter", "a new line in the message"],
  ["Ctrl Enter", "continue a text; send"],
  ["Esc", "stop the answer"],
  ["↑", "in an empty message: edit the last one"],
  ["Ctrl Z, Ctrl Shift Z", "in a text: undo and redo, the model's part too"],
  ["← →", "on an answer or in a text: the probabilities of the token there"],
  ["/", "to the field where one writes"],
  ["Alt N", "new conversation"],
  ["Alt L", "the list of conversations"],
  ["Alt S", "settings"],
  ["?", "this list"],
];

const writes = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("input, textarea, select");

export function useShortcuts(actions: Actions): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const act = actionOf(event, latest.current);
      if (act === undefined) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

function actionOf(event: KeyboardEvent, { list, settings, help }: Actions): (() => void) | undefined {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return undefined;
  const { running, current } = chats.state;
  if (event.key === "Escape") return running.has(current.id) ? () => chats.stop() : undefined;
  if (event.ctrlKey || event.metaKey) return undefined;
  // By the key's place: with Alt some keyboards write other letters.
  if (event.altKey) return { KeyN: () => chats.draft(), KeyL: list, KeyS: settings }[event.code];
  if (writes(event.target)) return undefined;
  if (event.key === "?") return help;
  if (event.key === "/") return () => document.querySelector<HTMLElement>("#text")?.focus();
  return undefined;
}
