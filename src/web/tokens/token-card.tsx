/** What the model thought of a token: its probability, and what else it might have written. */
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Token } from "../api/events.ts";
import { usePointed } from "./pointed.ts";

export function TokenCard() {
  const pointed = usePointed();
  const card = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    if (pointed === undefined || card.current === null) return;
    const { style, offsetWidth, offsetHeight } = card.current;
    // A token may be broken over two lines; the card belongs to its first part.
    const rect = pointed.element.getClientRects()[0] ?? pointed.element.getBoundingClientRect();
    const below = rect.bottom + 6;
    const top = below + offsetHeight < innerHeight - 8 ? below : rect.top - offsetHeight - 6;
    style.left = `${Math.max(8, Math.min(rect.left, innerWidth - offsetWidth - 8))}px`;
    style.top = `${Math.max(8, top)}px`;
  }, [pointed]);

  return (
    <>
      <div class="hidden" role="status">
        {pointed?.byKeys && pointed.span.tokens.map(spoken).join(". ")}
      </div>
      {pointed && (
        <div class="card" ref={card} aria-hidden="true">
          {pointed.span.tokens.map((token, i) => (
            <Alternatives key={i} token={token} />
          ))}
        </div>
      )}
    </>
  );
}

function Alternatives({ token }: { readonly token: Token }) {
  const chosen = nameOf(token);
  const among = token.top.some(([name]) => name === chosen);
  // What was drawn though it is not among the likeliest comes last.
  const rows = among ? token.top : [...token.top, [chosen, token.logprob] as const];
  return (
    <table>
      <tbody>
        {rows.map(([name, logprob], i) => (
          <tr key={i} class={name === chosen ? "chosen" : undefined}>
            <td>
              <code>{visible(name)}</code>
            </td>
            <td class="bar">
              <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                <rect width={Math.max(1, Math.exp(logprob) * 100)} height="8" />
              </svg>
            </td>
            <td class="number">{percent(logprob)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const nameOf = ({ name, text }: Token): string => name ?? text;

/** White space as signs that can be seen. */
export const visible = (text: string): string =>
  text.replaceAll(" ", "\u00b7").replaceAll("\n", "\u21b5").replaceAll("\t", "\u21e5");

/** A probability with two digits or more. */
export function percent(logprob: number): string {
  const value = Math.exp(logprob) * 100;
  return `${value >= 10 ? value.toFixed(1) : value >= 0.001 ? value.toPrecision(2) : "< 0.001"} %`;
}

function spoken(token: Token): string {
  const others = token.top.filter(([name]) => name !== nameOf(token)).slice(0, 3);
  const list = others.map(([name, logprob]) => `“${name}” ${percent(logprob)}`).join(", ");
  return `“${nameOf(token)}” ${percent(token.logprob)}${list === "" ? "" : `; others: ${list}`}`;
}
