/** The one chat of this page, in the surroundings that a browser gives; and how views look at it. */
import { useEffect, useState } from "preact/hooks";
import { Chats, type State, type Surroundings } from "./chats.ts";
import { preferences } from "./preferences.ts";
import { openShelf } from "./shelf.ts";
import { Talking } from "./talking.ts";
import { Writing } from "./writing.ts";

const channel = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel("fovea");

/** Storage that is closed to a page throws when it is touched. */
function open<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}

const browser: Surroundings = {
  shelf: openShelf,
  notes: open(() => localStorage),
  keys: open(() => sessionStorage),
  others: {
    tell: () => channel?.postMessage("saved"),
    listen: (changed) => channel?.addEventListener("message", changed),
  },
};

export const chats = new Chats(browser);
const probabilities = () => preferences.get("probabilities") !== "off";
export const talking = new Talking(chats, probabilities);
export const writing = new Writing(chats, probabilities);

addEventListener("pagehide", () => chats.leave());

/** A part of the state; the view is drawn again only when that part has changed. */
export function useChats<T>(part: (state: State) => T): T {
  const [value, setValue] = useState(() => part(chats.state));
  useEffect(() => {
    const look = () => setValue(() => part(chats.state));
    look();
    return chats.subscribe(look);
  }, []);
  return value;
}
