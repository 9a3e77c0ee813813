/** The line at the top of every view: where one is, where else one can go, and the theme. */
import { MoonIcon, SunIcon, SystemIcon } from "./icons.tsx";
import { IconButton } from "./parts/icon-button.tsx";
import { chatHash, type Route } from "./route.ts";
import { type Theme, useTheme } from "./theme.ts";

interface Props {
  readonly route: Route;
  /** The conversation that the link to the chat leads back to. */
  readonly last: string | undefined;
}

const themes: Readonly<Record<Theme, { readonly icon: () => preact.JSX.Element; readonly name: string }>> = {
  system: { icon: SystemIcon, name: "as the system" },
  light: { icon: SunIcon, name: "light" },
  dark: { icon: MoonIcon, name: "dark" },
};

export function Header({ route, last }: Props) {
  const { theme, next } = useTheme();
  const { icon: ThemeIcon, name } = themes[theme];
  const here = (view: Route["view"]) => (route.view === view ? ("page" as const) : undefined);
  return (
    <header class="top">
      <button type="button" class="skip" onClick={() => document.querySelector("main")?.focus()}>
        Skip to content
      </button>
      <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
        <circle cx="16" cy="16" r="14" />
        <circle cx="16" cy="16" r="9" />
        <circle cx="16" cy="16" r="4" />
      </svg>
      <h1>Fovea</h1>
      <nav aria-label="Views">
        <a href={chatHash(last)} aria-current={here("chat")}>
          Chat
        </a>
        <a href="#room" aria-current={here("room")}>
          Engine room
        </a>
      </nav>
      <IconButton name={`Theme: ${name}`} onClick={next}>
        <ThemeIcon />
      </IconButton>
    </header>
  );
}
