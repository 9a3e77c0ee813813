/** Light or dark: the system's choice, or the reader's own. public/theme.js sets it before the first paint. */
import { preferences, usePreference } from "./store/preferences.ts";

export type Theme = "system" | "light" | "dark";

const following: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };

export function useTheme(): { readonly theme: Theme; readonly next: () => void } {
  const [theme, setTheme] = usePreference("theme");
  const next = () => {
    const chosen = following[preferences.get("theme")];
    if (chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    setTheme(chosen);
  };
  return { theme, next };
}
