/** A number that can be set or left to the server: a slider where there is a range, a field, and the way back. */
import { useState } from "preact/hooks";
import { UndoIcon } from "../icons.tsx";
import { IconButton } from "../parts/icon-button.tsx";
import type { NumberControl } from "./settings.ts";

interface Props {
  readonly control: NumberControl;
  readonly value: number | undefined;
  readonly onChange: (value: number | undefined) => void;
}

/** Wider ranges have no slider: one could not hit a number. */
const slides = ({ min, max }: NumberControl): boolean => max - min <= 1000;

export function NumberField({ control, value, onChange }: Props) {
  const { key, label, min, max, step, standard, help } = control;
  /** While one writes in it the field keeps its own text: `0.` is no number yet. */
  const [written, setWritten] = useState<string>();
  const [wrong, setWrong] = useState(false);
  const id = `setting-${key}`;
  const take = ({ value: text, valueAsNumber: given, validity }: HTMLInputElement) => {
    const empty = text === "" && !validity.badInput;
    const fits = given >= min && given <= max && (step !== 1 || Number.isInteger(given));
    setWritten(text);
    setWrong(!empty && !fits);
    if (empty) onChange(undefined);
    else if (fits) onChange(given);
  };
  return (
    <div class={`setting ${value === undefined ? "" : "set"}`}>
      <div class="line">
        <label for={id}>{label}</label>
        <input
          id={id}
          type="number"
          inputMode={step === 1 && min >= 0 ? "numeric" : "decimal"}
          min={min}
          max={max}
          step={step === 1 ? 1 : "any"}
          value={written ?? value ?? ""}
          placeholder={String(standard)}
          aria-describedby={`${id}-help`}
          aria-invalid={wrong}
          onInput={({ currentTarget }) => take(currentTarget)}
          onBlur={() => {
            setWritten(undefined);
            setWrong(false);
          }}
        />
        <IconButton
          name={`Reset ${label}`}
          title="Reset"
          disabled={value === undefined}
          onClick={() => onChange(undefined)}
        >
          <UndoIcon />
        </IconButton>
      </div>
      {slides(control) && (
        <input
          type="range"
          min={min}
          max={max}
          step={step}
          value={value ?? Number(standard)}
          aria-label={`${label}, slider`}
          onInput={({ currentTarget }) => onChange(currentTarget.valueAsNumber)}
        />
      )}
      <p class="quiet" id={`${id}-help`}>
        {wrong ? `Must be ${step === 1 ? "a whole number" : "a number"} from ${min} to ${max}. ` : help}
      </p>
    </div>
  );
}
