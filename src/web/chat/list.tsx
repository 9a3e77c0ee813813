/** The conversations that are kept: to open, rename, delete, save as a file, and take from one. */
import { useRef, useState } from "preact/hooks";
import { PencilIcon, PlusIcon, TrashIcon } from "../icons.tsx";
import { chats, useChats } from "../store/page.ts";
import type { Head } from "../store/types.ts";
import { download } from "./download.ts";

interface Props {
  readonly onPick: () => void;
  readonly onHelp: () => void;
}

export function List({ onPick, onHelp }: Props) {
  const heads = useChats((state) => state.heads);
  const current = useChats((state) => state.current.id);
  const running = useChats((state) => state.running);
  const talks = useChats(() => chats.model()?.chat ?? true);
  const begin = (kind: "chat" | "text") => {
    chats.draft(kind);
    onPick();
  };
  return (
    <>
      <div class="begin">
        {talks && (
          <button type="button" class="button" onClick={() => begin("chat")}>
            <PlusIcon /> New chat
          </button>
        )}
        <button type="button" class="button" onClick={() => begin("text")}>
          <PlusIcon /> New text
        </button>
      </div>
      <nav class="list" aria-label="Kept conversations">
        {heads.length === 0 && <p class="empty">What you write is kept here, in this browser only.</p>}
        <ul>
          {heads.map((head) => (
            <Row
              key={head.id}
              head={head}
              current={head.id === current}
              running={running.has(head.id)}
              onPick={() => {
                void chats.select(head.id);
                onPick();
              }}
            />
          ))}
        </ul>
      </nav>
      <div class="foot">
        <Transfer />
        <button type="button" class="link" onClick={onHelp}>
          Keyboard
        </button>
      </div>
    </>
  );
}

interface RowProps {
  readonly head: Head;
  readonly current: boolean;
  readonly running: boolean;
  readonly onPick: () => void;
}

function Row({ head: { id, title }, current, running, onPick }: RowProps) {
  const [state, setState] = useState<"renaming" | "deleting">();
  if (state === "renaming")
    return (
      <li>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void chats.rename(id, String(new FormData(event.currentTarget).get("title")));
            setState(undefined);
          }}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            event.stopPropagation();
            event.preventDefault();
            setState(undefined);
          }}
        >
          <input name="title" aria-label="Title" defaultValue={title} ref={(field) => field?.select()} />
          <button type="submit" class="link">
            Save
          </button>
        </form>
      </li>
    );
  if (state === "deleting")
    return (
      <li class="asking">
        <span>Delete “{title}”?</span>
        <button
          type="button"
          class="link"
          ref={(button) => button?.focus()}
          onClick={() => void chats.remove(id)}
        >
          Delete
        </button>
        <button type="button" class="link" onClick={() => setState(undefined)}>
          Keep
        </button>
      </li>
    );
  return (
    <li>
      <button
        type="button"
        class="title"
        aria-current={current ? "true" : undefined}
        onClick={onPick}
        title={title}
      >
        {running && <span class="dot" title="The model writes" />}
        {title}
      </button>
      <button
        type="button"
        class="plain"
        aria-label={`Rename: ${title}`}
        title="Rename"
        onClick={() => setState("renaming")}
      >
        <PencilIcon />
      </button>
      <button
        type="button"
        class="plain"
        aria-label={`Delete: ${title}`}
        title="Delete"
        onClick={() => setState("deleting")}
      >
        <TrashIcon />
      </button>
    </li>
  );
}

function Transfer() {
  const file = useRef<HTMLInputElement>(null);
  const kept = useChats((state) => state.heads.length > 0);
  return (
    <>
      <button
        type="button"
        class="link"
        disabled={!kept}
        onClick={async () => download("fovea-conversations.json", await chats.export())}
      >
        Export all
      </button>
      <button type="button" class="link" onClick={() => file.current?.click()}>
        Import
      </button>
      <input
        ref={file}
        type="file"
        hidden
        accept="application/json,.json"
        onChange={async (event) => {
          const field = event.currentTarget;
          const [chosen] = field.files ?? [];
          if (chosen) await chats.import(await chosen.text());
          // The same file can be chosen again.
          field.value = "";
        }}
      />
    </>
  );
}
