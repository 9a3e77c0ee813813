/** Where the focus goes when what had it is taken away: browsers leave it nowhere, and the keyboard begins at the top. */
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** @param next where to go from something inside that was removed, as the record says */
export function useKeptFocus(
  ref: RefObject<HTMLElement | null>,
  next: (gone: MutationRecord) => HTMLElement | null | undefined,
): void {
  const latest = useRef(next);
  latest.current = next;
  useEffect(() => {
    const place = ref.current;
    if (place === null) return;
    let focused: Node | undefined;
    const enter = ({ target }: FocusEvent) => {
      focused = target as Node;
    };
    // A press beside it takes the focus away on purpose.
    const press = ({ target }: PointerEvent) => {
      if (!focused?.contains(target as Node)) focused = undefined;
    };
    const observer = new MutationObserver((records) => {
      const lost = focused;
      if (lost === undefined || lost.isConnected || document.activeElement !== document.body) return;
      focused = undefined;
      const gone = records.find(({ removedNodes }) => [...removedNodes].some((node) => node.contains(lost)));
      if (gone) latest.current(gone)?.focus();
    });
    place.addEventListener("focusin", enter);
    document.addEventListener("pointerdown", press);
    observer.observe(place, { childList: true, subtree: true });
    return () => {
      place.removeEventListener("focusin", enter);
      document.removeEventListener("pointerdown", press);
      observer.disconnect();
    };
  }, []);
}
