/** What the model said: its thinking, its text, its calls, how it went, and what can be done with it. */
import { useMemo } from "preact/hooks";
import { AgainIcon, OnIcon, TrashIcon } from "../icons.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { FailureBox } from "../parts/failure-box.tsx";
import { memo } from "../parts/memo.ts";
import { noteOf } from "../store/answer.ts";
import { talking } from "../store/page.ts";
import { usePreference } from "../store/preferences.ts";
import { splitThinking } from "../store/talk.ts";
import type { Message, ToolCall } from "../store/types.ts";
import { spansOfAnswer } from "../tokens/marked.ts";
import { TokenArea } from "../tokens/token-area.tsx";
import { Branches } from "./branches.tsx";

interface Props {
  readonly message: Message;
  readonly branches: readonly Message[];
  /** Whether it is the end of the talk, and so can be gone on with. */
  readonly last: boolean;
  readonly busy: boolean;
}

export const AnswerMessage = memo(({ message, branches, last, busy }: Props) => {
  const growing = message.finish === "running";
  const { thinking, answer, start } = splitThinking(message.text);
  const thought = message.reasoning ?? thinking;
  return (
    <article class={`message answer ${growing ? "growing" : ""}`} aria-busy={growing}>
      <h3 class="hidden">Model</h3>
      {thought !== "" && <Thinking text={thought} open={growing && answer === ""} />}
      <AnswerText message={message} answer={answer} start={start} growing={growing} />
      {message.calls?.map((call, i) => (
        <Call key={i} call={call} />
      ))}
      {growing && <span class="caret" aria-hidden="true" />}
      {message.failure && (
        <FailureBox
          failure={message.failure}
          onRetry={busy ? undefined : () => talking.regenerate(message)}
        />
      )}
      {/* Its line is there from the start, so that nothing moves when the answer ends. */}
      <div class="actions">
        {!growing && (
          <>
            <Branches message={message} branches={branches} busy={busy} />
            {answer !== "" && <CopyButton text={answer} label="Copy answer" />}
            <button
              type="button"
              class="plain"
              aria-label="Answer again"
              title="Again: another version beside this one"
              disabled={busy}
              onClick={() => talking.regenerate(message)}
            >
              <AgainIcon />
            </button>
            {last && answer !== "" && (
              <button
                type="button"
                class="plain"
                aria-label="Continue the answer"
                title="Continue where it ends"
                disabled={busy}
                onClick={() => talking.continue(message)}
              >
                <OnIcon />
              </button>
            )}
            <button
              type="button"
              class="plain"
              aria-label="Delete answer and what follows"
              title="Delete, with what follows"
              disabled={busy}
              onClick={() => talking.remove(message)}
            >
              <TrashIcon />
            </button>
            <small>{noteOf(message)}</small>
          </>
        )}
      </div>
    </article>
  );
});

function AnswerText({
  message,
  answer,
  start,
  growing,
}: {
  message: Message;
  answer: string;
  start: number;
  growing: boolean;
}) {
  const [mode] = usePreference("probabilities");
  const spans = useMemo(() => spansOfAnswer(message), [message.tokens, message.text]);
  const shown = mode !== "off" && spans.length > 0;
  const text = (
    <Markdown text={answer} growing={growing} marked={shown ? { spans, offset: start } : undefined} />
  );
  return shown ? (
    <TokenArea spans={spans} label="Answer; arrow keys move from token to token">
      {text}
    </TokenArea>
  ) : (
    text
  );
}

const Thinking = ({ text, open }: { readonly text: string; readonly open: boolean }) => (
  <details class="thinking" open={open}>
    <summary>{open ? "Thinking …" : "Thinking"}</summary>
    <p>{text.trim()}</p>
  </details>
);

const Call = ({ call }: { readonly call: ToolCall }) => (
  <div class="code call">
    <div class="bar">
      <span>
        calls <b>{call.name}</b>
      </span>
      <CopyButton text={call.arguments} label="Copy arguments" />
    </div>
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
    <pre tabIndex={0}>{indented(call.arguments)}</pre>
  </div>
);

/** JSON laid out for reading; as it is, while it is not complete. */
function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
