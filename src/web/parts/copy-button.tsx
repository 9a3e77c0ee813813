/** Copies a text, and says for a moment that it did. */
import { useEffect, useState } from "preact/hooks";
import { CheckIcon, CopyIcon } from "../icons.tsx";
import { IconButton } from "./icon-button.tsx";

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const [result, setResult] = useState<"copied" | "refused">();
  useEffect(() => {
    if (result === undefined) return;
    const timer = setTimeout(() => setResult(undefined), 2000);
    return () => clearTimeout(timer);
  }, [result]);
  const copy = () =>
    copyText(text).then(
      () => setResult("copied"),
      () => setResult("refused"),
    );
  const name = result === "copied" ? "Copied" : result === "refused" ? "The browser did not allow it" : label;
  return (
    <IconButton name={name} onClick={copy}>
      {result === "copied" ? <CheckIcon /> : <CopyIcon />}
    </IconButton>
  );
}

/** Pages that are served over plain HTTP to another machine have no clipboard; a selection can be copied all the same. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  const focused = document.activeElement as HTMLElement | null;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!done) throw new Error("copying was refused");
}
