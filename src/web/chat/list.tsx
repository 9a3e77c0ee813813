/** The conversations that are kept: to open, rename, delete, save as a file, and take from one. */
import { useEffect, useRef, useState } from "preact/hooks";
import { PencilIcon, PlusIcon, TrashIcon } from "../icons.tsx";
import { IconButton } from "../parts/icon-button.tsx";
import { useKeptFocus } from "../parts/kept-focus.ts";
import { memo } from "../parts/memo.ts";
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
  const list = useRef<HTMLElement>(null);
  const first = useRef<HTMLButtonElement>(null);
  useKeptFocus(list, (gone) => titleBy(gone) ?? first.current);
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
        <button type="button" class="button" ref={first} onClick={() => begin("text")}>
          <PlusIcon /> New text
        </button>
      </div>
      <nav class="list" ref={list} aria-label="Kept conversations">
        {heads.length === 0 && <p class="quiet">What you write is kept here, in this browser only.</p>}
        <ul>
          {heads.map((head) => (
            <Row
              key={head.id}
              head={head}
              current={head.id === current}
              running={running.has(head.id)}
              onPick={onPick}
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

/** The title nearest to what is gone: beside it, or of its own row. */
const titleBy = ({ nextSibling, previousSibling, target }: MutationRecord) =>
  [nextSibling, previousSibling, target]
    .map((node) => node instanceof Element && node.querySelector<HTMLElement>(".title"))
    .find((title) => title instanceof HTMLElement);

interface RowProps {
  readonly head: Head;
  readonly current: boolean;
  readonly running: boolean;
  readonly onPick: () => void;
}

/** Drawn again only when its own conversation changes: another one may be growing. */
const Row = memo(({ head: { id, title }, current, running, onPick }: RowProps) => {
  const [state, setState] = useState<"renaming" | "deleting">();
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (state === undefined) return;
    const place = row.current?.querySelector<HTMLElement>("input, button");
    place?.focus();
    if (place instanceof HTMLInputElement) place.select();
  }, [state]);
  const leave = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    setState(undefined);
  };
  if (state === "renaming")
    return (
      <li ref={row}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void chats.rename(id, String(new FormData(event.currentTarget).get("title")));
            setState(undefined);
          }}
          onKeyDown={leave}
        >
          <input name="title" aria-label="Title" defaultValue={title} />
          <button type="submit" class="link">
            Save
          </button>
        </form>
      </li>
    );
  if (state === "deleting")
    return (
      <li ref={row}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void chats.remove(id);
          }}
          onKeyDown={leave}
        >
          <span>Delete “{title}”?</span>
          <button type="submit" class="link">
            Delete
          </button>
          <button type="button" class="link" onClick={() => setState(undefined)}>
            Keep
          </button>
        </form>
      </li>
    );
  return (
    <li ref={row}>
      <button
        type="button"
        class="title"
        aria-current={current ? "true" : undefined}
        onClick={() => {
          void chats.select(id);
          onPick();
        }}
        title={title}
      >
        {running && <span class="pulse" title="The model writes" />}
        {title}
      </button>
      <IconButton name={`Rename: ${title}`} title="Rename" onClick={() => setState("renaming")}>
        <PencilIcon />
      </IconButton>
      <IconButton name={`Delete: ${title}`} title="Delete" onClick={() => setState("deleting")}>
        <TrashIcon />
      </IconButton>
    </li>
  );
});

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
