/** What the reader said, and another way to say it. */
import { useState } from "preact/hooks";
import { PencilIcon, TrashIcon } from "../icons.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { IconButton } from "../parts/icon-button.tsx";
import { memo } from "../parts/memo.ts";
import { chats, talking } from "../store/page.ts";
import type { Message } from "../store/types.ts";
import { Branches } from "./branches.tsx";
import { GrowingField } from "./growing-field.tsx";

interface Props {
  readonly message: Message;
  readonly branches: readonly Message[];
  readonly editing: boolean;
  /** Begins the edit of a message, or ends it. */
  readonly onEdit: (id: string | undefined) => void;
  readonly busy: boolean;
}

export const UserMessage = memo(({ message, branches, editing, onEdit, busy }: Props) => {
  if (editing) return <Edit message={message} busy={busy} onEnd={() => onEdit(undefined)} />;
  return (
    <article class="message user">
      <h3 class="hidden">You</h3>
      <p class="said">{message.text}</p>
      <div class="actions">
        <Branches message={message} branches={branches} busy={busy} />
        <CopyButton text={message.text} label="Copy message" />
        <IconButton
          name="Edit message"
          title="Edit: another version beside this one"
          disabled={busy}
          onClick={() => onEdit(message.id)}
        >
          <PencilIcon />
        </IconButton>
        <IconButton
          name="Delete message and what follows"
          title="Delete, with what follows"
          disabled={busy}
          onClick={() => talking.remove(message)}
        >
          <TrashIcon />
        </IconButton>
      </div>
    </article>
  );
});

function Edit({
  message,
  busy,
  onEnd,
}: {
  readonly message: Message;
  readonly busy: boolean;
  readonly onEnd: () => void;
}) {
  const [text, setText] = useState(message.text);
  const send = (written: string) => {
    if (chats.busy() || written.trim() === "") return;
    onEnd();
    talking.edit(message, written);
  };
  return (
    <form
      class="message edit"
      onSubmit={(event) => {
        event.preventDefault();
        send(event.currentTarget.querySelector("textarea")!.value);
      }}
    >
      <GrowingField
        label="Edit your message"
        value={text}
        autofocus
        onInput={setText}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.preventDefault();
            onEnd();
          } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            send(event.currentTarget.value);
          }
        }}
      />
      <div class="row">
        <p class="quiet">The old message is kept as another version.</p>
        <button type="button" class="button" onClick={onEnd}>
          Cancel
        </button>
        <button type="submit" class="button main" disabled={busy || text.trim() === ""}>
          Send
        </button>
      </div>
    </form>
  );
}
