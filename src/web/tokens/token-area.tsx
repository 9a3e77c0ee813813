/** Around a text with tokens: finds the one that the mouse is over, a finger touches, or arrow keys have moved to. */
import type { ComponentChildren, TargetedEvent, TargetedKeyboardEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Span } from "./marked.ts";
import { point } from "./pointed.ts";

interface Props {
  readonly spans: readonly Span[];
  readonly label: string;
  readonly children: ComponentChildren;
}

export function TokenArea({ spans, label, children }: Props) {
  const at = useRef(-1);
  const area = useRef<HTMLDivElement>(null);

  useEffect(() => () => point(undefined), []);

  const pointAt = (event: TargetedEvent<HTMLDivElement>) => {
    const element = (event.target as Element).closest("[data-t]");
    const index = Number(element?.getAttribute("data-t") ?? -1);
    const span = spans[index];
    if (element && span) {
      at.current = index;
      point({ span, element, byKeys: false });
    } else point(undefined);
  };

  const move = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    if (area.current === null || event.target !== area.current) return;
    if (event.key === "Escape") return point(undefined);
    const shown = [...area.current.querySelectorAll("[data-t]")];
    const now = shown.findIndex((element) => Number(element.getAttribute("data-t")) === at.current);
    const next = { ArrowRight: now + 1, ArrowLeft: Math.max(0, now - 1), Home: 0, End: shown.length - 1 }[
      event.key
    ];
    const element = next === undefined ? undefined : shown[Math.min(next, shown.length - 1)];
    if (element === undefined) return;
    event.preventDefault();
    at.current = Number(element.getAttribute("data-t"));
    element.scrollIntoView({ block: "nearest" });
    point({ span: spans[at.current]!, element, byKeys: true });
  };

  return (
    // biome-ignore lint/a11y/useSemanticElements: no form's fields are inside
    <div
      ref={area}
      class="tokens"
      role="group"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys move among the tokens inside
      tabIndex={0}
      aria-label={label}
      onPointerOver={pointAt}
      onPointerLeave={() => point(undefined)}
      onKeyDown={move}
      onBlur={() => point(undefined)}
    >
      {children}
    </div>
  );
}
