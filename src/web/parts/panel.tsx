/** A column beside the text where there is room, and a drawer above it where there is not. */
import type { ComponentChildren } from "preact";
import { CloseIcon } from "../icons.tsx";
import { Dialog } from "./dialog.tsx";
import { IconButton } from "./icon-button.tsx";
import { useWide } from "./media.ts";

interface Props {
  readonly title: string;
  readonly side: "start" | "end";
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function Panel({ title, side, onClose, children }: Props) {
  const content = (
    <>
      <div class="panel-head">
        <h2>{title}</h2>
        <IconButton name={`Close: ${title}`} title="Close" onClick={onClose}>
          <CloseIcon />
        </IconButton>
      </div>
      {children}
    </>
  );
  return useWide() ? (
    <aside class={`panel ${side}`} aria-label={title}>
      {content}
    </aside>
  ) : (
    <Dialog class={`drawer ${side}`} label={title} onClose={onClose}>
      <div class="panel">{content}</div>
    </Dialog>
  );
}
