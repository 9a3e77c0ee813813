/** The sequences of the moment as a table: for those who do not see the lanes, and for those who want the numbers. */
import type { SequenceReport } from "../../engine/report.ts";
import { showCount } from "./words.ts";

export function SequenceTable({ sequences }: { readonly sequences: readonly SequenceReport[] }) {
  if (sequences.length === 0) return <p class="quiet">No sequences now.</p>;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a group of nothing but its table
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <div class="scroll" role="group" aria-label="Sequences as a table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {["Sequence", "State", "Prompt", "From cache", "Generated", "Blocks"].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sequences.map(({ id, state, prompt, cached, generated, blocks }) => (
            <tr key={id}>
              <th scope="row">{id}</th>
              <td>{state}</td>
              <td>{showCount(prompt)}</td>
              <td>{showCount(cached)}</td>
              <td>{showCount(generated)}</td>
              <td>{showCount(blocks)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
