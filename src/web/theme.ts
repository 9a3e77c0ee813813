/** Light or dark: the system's choice, or the reader's own, which is kept. public/theme.js sets it before the first paint. */
import { useState } from "preact/hooks";

export type Theme = "system" | "light" | "dark";

const key = "fovea.theme";
const order: readonly Theme[] = ["system", "light", "dark"];

export function useTheme(): { readonly theme: Theme; readonly next: () => void } {
  const [theme, setTheme] = useState<Theme>(
    () => order.find((name) => name === document.documentElement.dataset.theme) ?? "system",
  );
  const next = () => {
    const chosen = order[(order.indexOf(theme) + 1) % order.length]!;
    if (chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem(key, chosen);
    } catch {
      // Where nothing may be kept, the choice lasts as long as the page.
    }
    setTheme(chosen);
  };
  return { theme, next };
}
