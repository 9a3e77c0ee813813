/** Asks for the key that the server wants. It is kept as long as this tab. */
import { useState } from "preact/hooks";
import { chats } from "../store/page.ts";

export function KeyForm({ onEntered }: { readonly onEntered: (() => void) | undefined }) {
  const [key, setKey] = useState("");
  return (
    <form
      class="key"
      onSubmit={(event) => {
        event.preventDefault();
        void chats.enterKey(key.trim()).then(() => {
          if (chats.state.failure === undefined) onEntered?.();
        });
      }}
    >
      <label for="key">API key of this server; it is kept until this tab is closed</label>
      <div class="row">
        <input
          id="key"
          type="password"
          autocomplete="off"
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <button type="submit" class="button main" disabled={key.trim() === ""}>
          Use it
        </button>
      </div>
    </form>
  );
}
