/** Keeps the end of what scrolls in view while it grows, unless the reader has scrolled up. */
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

const near = 60;

/** @param grows changes with the content; @param place changes when something else is shown, from its end on, if it is begun */
export function useFollowing(
  ref: RefObject<HTMLElement | null>,
  grows: unknown,
  place: string,
  begun: boolean,
): void {
  const following = useRef(true);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const look = () => {
      following.current = element.scrollHeight - element.scrollTop - element.clientHeight < near;
    };
    element.addEventListener("scroll", look, { passive: true });
    return () => element.removeEventListener("scroll", look);
  }, []);
  useLayoutEffect(() => {
    following.current = true;
  }, [place]);
  useLayoutEffect(() => {
    const element = ref.current;
    if (element && begun && following.current) element.scrollTop = element.scrollHeight;
  }, [grows, place]);
}
