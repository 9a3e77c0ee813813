/** What screen and reader are like. */
import { useEffect, useState } from "preact/hooks";

/** Whether a media query holds, as it changes. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const look = () => setHolds(list.matches);
    look();
    list.addEventListener("change", look);
    return () => list.removeEventListener("change", look);
  }, [query]);
  return holds;
}

/** Whether one points with a mouse: without one a field that has the focus brings a keyboard that covers the page. */
export const hasMouse = (): boolean => matchMedia("(hover: hover)").matches;

/** Room for a panel beside the text. */
export const useWide = (): boolean => useMedia("(min-width: 60rem)");
