/** Where the user writes, with the two settings that matter and what went wrong. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { ModelFacts, Settings } from "./api.ts";
import type { Conversation } from "./conversation.ts";
import { welcomeOf } from "./welcome.ts";

interface Props {
  readonly model: ModelFacts | undefined;
  readonly conversation: Conversation;
  readonly settings: Settings;
  readonly onSettings: (settings: Settings) => void;
  readonly error: string | undefined;
}

export function Composer({ model, conversation, settings, onSettings, error }: Props) {
  const { turns, running } = conversation;
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const chats = model?.chat ?? true;
  // A text can go on without a word from the user; a talk cannot.
  const sendable = model !== undefined && !running && (text.trim() !== "" || (!chats && turns.length > 0));

  useEffect(() => {
    if (!running && matchMedia("(hover: hover)").matches) field.current?.focus();
  }, [running]);

  const submit = async () => {
    if (!sendable) return;
    setText("");
    // What was refused comes back to be changed, unless something else has been written meanwhile.
    if (!(await conversation.send(text))) setText((current) => current || text);
  };

  return (
    <footer>
      <form
        class="column"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        {error !== undefined && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <div class="field">
          <label class="hidden" for="text">
            {chats ? "Your message" : "Your text"}
          </label>
          <textarea
            id="text"
            ref={field}
            rows={1}
            value={text}
            placeholder={
              chats
                ? "Message"
                : turns.length > 0 || !model
                  ? "Add to it, or continue"
                  : welcomeOf(model).beginnings[0]
            }
            disabled={model === undefined}
            onInput={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
              event.preventDefault();
              void submit();
            }}
          />
          {running ? (
            <button type="button" class="main stop" onClick={conversation.stop}>
              Stop
            </button>
          ) : (
            <button type="submit" class="main" disabled={!sendable}>
              {chats ? "Send" : "Continue"}
            </button>
          )}
        </div>
        <SettingsRow model={model} settings={settings} onSettings={onSettings} />
      </form>
    </footer>
  );
}

function SettingsRow({ model, settings, onSettings }: Pick<Props, "model" | "settings" | "onSettings">) {
  const { temperature, maxTokens } = settings;
  const longest = Math.floor(Math.log2(Math.min(4096, model?.context_length ?? 4096)));
  return (
    <div class="settings">
      <label title="0 always takes the likeliest word; more is more varied">
        <span>Temperature</span>
        <input
          type="range"
          min={0}
          max={1.5}
          step={0.1}
          value={temperature}
          onInput={(event) => onSettings({ ...settings, temperature: event.currentTarget.valueAsNumber })}
        />
        <output>{temperature.toFixed(1)}</output>
      </label>
      <label title="Tokens to write at most; a token is about three quarters of a word">
        <span>Length</span>
        <input
          type="range"
          min={4}
          max={longest}
          step={1}
          value={Math.log2(maxTokens)}
          aria-valuetext={`${maxTokens} tokens`}
          onInput={(event) => onSettings({ ...settings, maxTokens: 2 ** event.currentTarget.valueAsNumber })}
        />
        <output>{maxTokens}</output>
      </label>
    </div>
  );
}
