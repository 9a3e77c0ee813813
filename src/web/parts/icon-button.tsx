/** A button that is only its picture: its name is read out, and shown when one points at it. */
import type { ComponentChildren } from "preact";

interface Props {
  readonly name: string;
  /** What is shown; the name unless said. */
  readonly title?: string;
  readonly disabled?: boolean;
  /** Of what it opens. */
  readonly expanded?: boolean;
  readonly onClick: () => void;
  readonly children: ComponentChildren;
}

export const IconButton = ({ name, title = name, disabled, expanded, onClick, children }: Props) => (
  <button
    type="button"
    class="plain"
    aria-label={name}
    title={title}
    aria-expanded={expanded}
    disabled={disabled}
    onClick={onClick}
  >
    {children}
  </button>
);
