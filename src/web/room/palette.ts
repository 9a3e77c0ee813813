/** The page's colours for what is drawn on a canvas, which knows no CSS. */

export type Palette = (name: string) => string;

/** Colours by the names of CSS variables, as they are where `element` stands; looked up anew when the theme changes. */
export function paletteOf(element: HTMLElement): { readonly color: Palette; stop(): void } {
  const known = new Map<string, string>();
  const probe = document.createElement("span");
  probe.hidden = true;
  element.append(probe);
  const forget = () => known.clear();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", forget);
  const observer = new MutationObserver(forget);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return {
    color(name) {
      let color = known.get(name);
      if (color === undefined) {
        probe.style.color = `var(--${name})`;
        color = getComputedStyle(probe).color;
        known.set(name, color);
      }
      return color;
    },
    stop() {
      dark.removeEventListener("change", forget);
      observer.disconnect();
      probe.remove();
    },
  };
}
