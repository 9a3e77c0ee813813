/** What can be set: for this conversation, and of the page. */
import { useState } from "preact/hooks";
import { chats, useChats } from "../store/page.ts";
import { usePreference } from "../store/preferences.ts";
import { NumberField } from "./number-field.tsx";
import { countOf, maxTokens, numbers, parseStops, seed, startOf, writeStops } from "./settings.ts";

export function SettingsPanel() {
  const id = useChats((state) => state.current.id);
  const settings = useChats((state) => state.current.settings);
  const kind = useChats((state) => state.current.body.kind);
  const [resets, setResets] = useState(0);
  const length = { ...maxTokens, standard: kind === "chat" ? "what fits" : "200" };
  return (
    <div class="settings" key={id}>
      <Probabilities />
      {kind === "chat" && (
        <SystemPrompt value={settings.system} onChange={(value) => chats.setOne("system", value)} />
      )}
      <div class="group-head">
        <h3>Sampling</h3>
        <button
          type="button"
          class="link"
          disabled={countOf(settings, kind) === 0}
          onClick={() => {
            chats.set(startOf(kind));
            setResets(resets + 1);
          }}
        >
          Reset all
        </button>
      </div>
      <p class="quiet">
        Kept with this conversation. Only what is set is sent; the rest is as the server has it.
      </p>
      {[length, ...numbers, seed].map((control) => (
        <NumberField
          key={control.key}
          control={control}
          value={settings[control.key]}
          onChange={(value) => chats.setOne(control.key, value)}
        />
      ))}
      <Stops key={resets} value={settings.stop} onChange={(value) => chats.setOne("stop", value)} />
    </div>
  );
}

function Probabilities() {
  const [mode, setMode] = usePreference("probabilities");
  const choices = [
    ["off", "Off"],
    ["hover", "On hover"],
    ["tint", "Tinted"],
  ] as const;
  return (
    <fieldset class="choice">
      <legend>Token probabilities</legend>
      <div class="segments">
        {choices.map(([value, name]) => (
          <label key={value}>
            <input
              type="radio"
              name="probabilities"
              checked={mode === value}
              onChange={() => setMode(value)}
            />
            <span>{name}</span>
          </label>
        ))}
      </div>
      <p class="quiet">
        {mode === "off"
          ? "Answers come without the probabilities of their tokens."
          : mode === "hover"
            ? "Point at a token, or go through an answer with the arrow keys."
            : "The stronger the tint, the less likely the token was."}
      </p>
    </fieldset>
  );
}

interface FieldProps<T> {
  readonly value: T | undefined;
  readonly onChange: (value: T | undefined) => void;
}

const SystemPrompt = ({ value = "", onChange }: FieldProps<string>) => (
  <div class="setting">
    <label for="system">System prompt</label>
    <textarea
      id="system"
      rows={4}
      value={value}
      placeholder="How the model should answer"
      onInput={({ currentTarget }) => onChange(currentTarget.value === "" ? undefined : currentTarget.value)}
    />
  </div>
);

const Stops = ({ value, onChange }: FieldProps<readonly string[]>) => (
  <div class="setting">
    <label for="stop">Stop texts</label>
    <textarea
      id="stop"
      rows={2}
      // The field keeps its own text: an empty line is being written before it says something.
      defaultValue={writeStops(value)}
      aria-describedby="stop-help"
      onInput={({ currentTarget }) => onChange(parseStops(currentTarget.value))}
    />
    <p class="quiet" id="stop-help">
      One a line; \n is a line break. The answer ends before the first that comes.
    </p>
  </div>
);
