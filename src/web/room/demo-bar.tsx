/** Starts and stops the load to look at. */
import { useState } from "preact/hooks";
import { FailureBox } from "../parts/failure-box.tsx";
import { useDemo } from "./demo.ts";

const choices = [1, 4, 8, 16, 32, 64];

export function DemoBar() {
  const [texts, setTexts] = useState(8);
  const { running, done, failure, start, stop } = useDemo();
  return (
    <section class="demo" aria-label="Demo load">
      <label for="texts">Texts at once</label>
      <select
        id="texts"
        value={texts}
        disabled={running}
        onChange={(event) => setTexts(Number(event.currentTarget.value))}
      >
        {choices.map((count) => (
          <option key={count} value={count}>
            {count}
          </option>
        ))}
      </select>
      <button type="button" class="button" onClick={() => (running ? stop() : start(texts))}>
        {running ? "Stop the load" : "Make load"}
      </button>
      <p class="quiet">
        {running
          ? `${texts} short texts at once; ${done} written`
          : "Asks this server for short texts, to have something to look at."}
      </p>
      {failure && <FailureBox failure={failure} onRetry={undefined} />}
    </section>
  );
}
