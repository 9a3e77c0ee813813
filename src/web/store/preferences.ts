/** What the reader likes, for all conversations; kept in the browser. */
import { useEffect, useState } from "preact/hooks";

interface Values {
  /** Of tokens: not asked for; shown where one points; shown by colour too. */
  readonly probabilities: "off" | "hover" | "tint";
  readonly theme: "system" | "light" | "dark";
  readonly list: "open" | "closed";
  readonly settings: "open" | "closed";
}

const allowed: { readonly [K in keyof Values]: readonly Values[K][] } = {
  probabilities: ["hover", "off", "tint"],
  theme: ["system", "light", "dark"],
  list: ["open", "closed"],
  settings: ["closed", "open"],
};

const listeners = new Set<() => void>();
const chosen: { -readonly [K in keyof Values]?: Values[K] } = {};

export const preferences = {
  get<K extends keyof Values>(key: K): Values[K] {
    let kept: string | null | undefined = chosen[key];
    try {
      kept ??= localStorage.getItem(`fovea.${key}`);
    } catch {
      // Where nothing may be kept, the choice lasts as long as the page.
    }
    return allowed[key].find((value) => value === kept) ?? allowed[key][0]!;
  },
  set<K extends keyof Values>(key: K, value: Values[K]): void {
    chosen[key] = value;
    try {
      localStorage.setItem(`fovea.${key}`, value);
    } catch {
      // As above.
    }
    for (const listener of listeners) listener();
  },
};

export function usePreference<K extends keyof Values>(
  key: K,
): readonly [Values[K], (value: Values[K]) => void] {
  const [value, setValue] = useState(() => preferences.get(key));
  useEffect(() => {
    const look = () => setValue(() => preferences.get(key));
    look();
    listeners.add(look);
    return () => void listeners.delete(look);
  }, []);
  return [value, (next) => preferences.set(key, next)];
}
