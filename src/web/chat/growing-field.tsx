/** A field for text that is as high as what is written in it. */
import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  readonly id?: string;
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  readonly autofocus?: boolean;
  readonly onInput: (text: string) => void;
  readonly onKeyDown?: (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => void;
}

const growsAlone = typeof CSS !== "undefined" && CSS.supports("field-sizing", "content");

export function GrowingField({ id, label, value, placeholder, autofocus, onInput, onKeyDown }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    if (growsAlone || field.current === null) return;
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [value]);
  useLayoutEffect(() => {
    if (!autofocus) return;
    field.current?.focus();
    field.current?.setSelectionRange(value.length, value.length);
  }, []);
  return (
    <textarea
      ref={field}
      id={id}
      rows={1}
      aria-label={label}
      placeholder={placeholder}
      value={value}
      onInput={(event) => onInput(event.currentTarget.value)}
      onKeyDown={onKeyDown}
    />
  );
}
