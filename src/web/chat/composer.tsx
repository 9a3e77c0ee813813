/** Where the reader writes the next message. */
import { useEffect, useRef, useState } from "preact/hooks";
import { SendIcon, StopIcon } from "../icons.tsx";
import { hasMouse } from "../parts/media.ts";
import { chats, talking, useChats } from "../store/page.ts";
import { GrowingField } from "./growing-field.tsx";

interface Props {
  readonly id: string;
  readonly running: boolean;
  /** The arrow up, where nothing is written. */
  readonly onUp: () => void;
}

/** What was written and not sent, by conversation. */
const unsent = new Map<string, string>();

export function Composer({ id, running, onUp }: Props) {
  const [text, setText] = useState(() => unsent.get(id) ?? "");
  const form = useRef<HTMLFormElement>(null);
  const ready = useChats((state) => state.models !== undefined);
  const sendable = ready && !running && text.trim() !== "";

  const write = (next: string) => {
    if (next === "") unsent.delete(id);
    else unsent.set(id, next);
    setText(next);
  };
  // What is written and what runs may have changed since this was drawn.
  const send = () => {
    const written = unsent.get(id) ?? "";
    if (chats.state.models === undefined || chats.busy() || written.trim() === "") return;
    write("");
    talking.send(written);
  };
  useEffect(() => {
    if (hasMouse()) form.current?.querySelector("textarea")?.focus();
  }, []);

  return (
    <form
      ref={form}
      class="composer column"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="field">
        <GrowingField
          id="text"
          label="Message"
          placeholder="Message"
          value={text}
          onInput={write}
          onKeyDown={(event) => {
            if (event.key === "ArrowUp" && event.currentTarget.value === "") {
              event.preventDefault();
              onUp();
            }
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        {/* One button, so that the focus stays where it is. */}
        <button
          type={running ? "button" : "submit"}
          class="send"
          aria-label={running ? "Stop" : "Send"}
          title={running ? "Stop (Esc)" : "Send (Enter)"}
          disabled={!running && !sendable}
          onClick={running ? () => chats.stop(id) : undefined}
        >
          {running ? <StopIcon /> : <SendIcon />}
        </button>
      </div>
    </form>
  );
}
