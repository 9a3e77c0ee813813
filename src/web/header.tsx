/** The line at the top: what is served, and how to begin anew. */
import type { ModelFacts } from "./api.ts";

interface Props {
  readonly model: ModelFacts | undefined;
  /** Absent while there is nothing to take away. */
  readonly onReset: (() => void) | undefined;
}

export const Header = ({ model, onReset }: Props) => (
  <header>
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <circle cx="16" cy="16" r="14" />
      <circle cx="16" cy="16" r="9" />
      <circle cx="16" cy="16" r="4" />
    </svg>
    <div class="served">
      <h1>{model?.id ?? "Fovea"}</h1>
      {model && (
        <p>
          {showCount(model.parameters)} parameters<span class="wide"> · {model.device}</span>
        </p>
      )}
    </div>
    <button type="button" class="quiet" onClick={onReset} disabled={onReset === undefined}>
      New
    </button>
  </header>
);

const showCount = (count: number): string =>
  new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(count);
