/** A dialog above the page: it takes the focus, Esc closes it, and the focus goes back to where it was. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  readonly label: string;
  readonly class: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function Dialog({ label, class: look, onClose, children }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const dialog = ref.current!;
    dialog.showModal();
    // Taken away while it is open it would leave the focus nowhere.
    return () => dialog.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Esc closes it, by the element itself
    <dialog
      ref={ref}
      class={look}
      aria-label={label}
      // Nothing is left to close when it was taken away.
      onClose={() => ref.current && onClose()}
      onClick={(event) => {
        // A click on the dialog itself is one beside its content.
        if (event.target === ref.current) ref.current?.close();
      }}
    >
      {children}
    </dialog>
  );
}
