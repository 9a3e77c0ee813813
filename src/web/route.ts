/** Which view the address names: `#room`, `#chat/ID`, or nothing, which is the chat. */
import { useEffect, useState } from "preact/hooks";

export type Route = { readonly view: "room" } | { readonly view: "chat"; readonly id?: string };

export function routeOf(hash: string): Route {
  if (/^#\/?room\b/.test(hash)) return { view: "room" };
  const id = /^#\/?chat\/([\w-]+)$/.exec(hash)?.[1];
  return id === undefined ? { view: "chat" } : { view: "chat", id };
}

export const chatHash = (id: string | undefined): string => (id === undefined ? "#chat" : `#chat/${id}`);

/** The address is now this one; a `hashchange` tells those who follow it. */
export function setAddress(hash: string, how: "pushState" | "replaceState"): void {
  history[how](null, "", hash);
  dispatchEvent(new Event("hashchange"));
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    follow();
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return routeOf(hash);
}
