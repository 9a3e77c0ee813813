/** What the model said: its thoughts, its text, how it went, and what can be done with it. */
import { useMemo } from "preact/hooks";
import { AgainIcon, OnIcon, TrashIcon } from "../icons.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { FailureBox } from "../parts/failure-box.tsx";
import { IconButton } from "../parts/icon-button.tsx";
import { memo } from "../parts/memo.ts";
import { noteOf } from "../store/answer.ts";
import { talking } from "../store/page.ts";
import { usePreference } from "../store/preferences.ts";
import type { Message } from "../store/types.ts";
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
  const { text, reasoning } = message;
  return (
    <article class={`message answer ${growing ? "growing" : ""}`} aria-busy={growing}>
      <h3 class="hidden">Model</h3>
      {reasoning !== undefined && <Thoughts text={reasoning} growing={growing && text === ""} />}
      <AnswerText message={message} growing={growing} />
      {message.failure && (
        <FailureBox
          failure={message.failure}
          onRetry={busy ? undefined : () => talking.regenerate(message)}
        />
      )}
      {/* Its line is there from the start, so that nothing moves when the answer ends. */}
      <div class="actions">
        {growing ? (
          <span class="pulse" aria-hidden="true" />
        ) : (
          <>
            <Branches message={message} branches={branches} busy={busy} />
            {text !== "" && <CopyButton text={text} label="Copy answer" />}
            <IconButton
              name="Answer again"
              title="Again: another version beside this one"
              disabled={busy}
              onClick={() => talking.regenerate(message)}
            >
              <AgainIcon />
            </IconButton>
            {last && text !== "" && reasoning === undefined && (
              <IconButton
                name="Continue the answer"
                title="Continue where it ends"
                disabled={busy}
                onClick={() => talking.continue(message)}
              >
                <OnIcon />
              </IconButton>
            )}
            <IconButton
              name="Delete answer and what follows"
              title="Delete, with what follows"
              disabled={busy}
              onClick={() => talking.remove(message)}
            >
              <TrashIcon />
            </IconButton>
            <small>{noteOf(message)}</small>
          </>
        )}
      </div>
    </article>
  );
});

function AnswerText({ message, growing }: { readonly message: Message; readonly growing: boolean }) {
  const [mode] = usePreference("probabilities");
  const spans = useMemo(() => spansOfAnswer(message), [message.tokens, message.text]);
  const shown = mode !== "off" && spans.length > 0;
  const text = (
    <Markdown text={message.text} growing={growing} marked={shown ? { spans, offset: 0 } : undefined} />
  );
  return shown ? (
    <TokenArea spans={spans} label="Answer; arrow keys move from token to token">
      {text}
    </TokenArea>
  ) : (
    text
  );
}

const Thoughts = ({ text, growing }: { readonly text: string; readonly growing: boolean }) => (
  <details class="thoughts">
    <summary>{growing ? "Thinking …" : "Thoughts"}</summary>
    <p>{text.trim()}</p>
  </details>
);
