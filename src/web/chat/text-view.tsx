/** A text that reader and model write together: one document, the model's part marked, and what can be done with it. */
import { useRef } from "preact/hooks";
import { AgainIcon, OnIcon, RedoIcon, StopIcon, UndoIcon } from "../icons.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { FailureBox } from "../parts/failure-box.tsx";
import { useFollowing } from "../parts/following.ts";
import { IconButton } from "../parts/icon-button.tsx";
import { Live } from "../parts/live.tsx";
import { noteOf } from "../store/answer.ts";
import { chats, useChats, writing } from "../store/page.ts";
import { beforeLast, wholeText } from "../store/text.ts";
import { isEmpty } from "../store/types.ts";
import { Editor } from "./editor.tsx";
import { Welcome } from "./welcome.tsx";

export function TextView() {
  const current = useChats((state) => state.current);
  const running = useChats((state) => state.running.has(state.current.id));
  const ready = useChats((state) => state.models !== undefined);
  const scroller = useRef<HTMLElement>(null);
  useFollowing(scroller, running ? current.body : undefined, current.id, !isEmpty(current));
  if (current.body.kind !== "text") return null;
  const { segments, failure } = current.body;
  const text = wholeText(segments);
  const last = segments.findLast(({ from }) => from === "model");
  const free = ready && !running;
  return (
    <>
      <section class="scroller" ref={scroller} aria-label="Text">
        <div class="column">
          {segments.length === 0 && (
            <Welcome
              onPick={(beginning) => {
                writing.edit(beginning);
                writing.continue();
              }}
            />
          )}
          <Editor
            key={current.id}
            segments={segments}
            running={running}
            onInput={(next) => writing.edit(next)}
            onContinue={() => ready && writing.continue()}
            onUndo={() => writing.undo()}
            onRedo={() => writing.redo()}
          />
          {failure && <FailureBox failure={failure} onRetry={free ? () => writing.continue() : undefined} />}
          {last?.failure && (
            <FailureBox failure={last.failure} onRetry={free ? () => writing.continue() : undefined} />
          )}
        </div>
      </section>
      <Live id={current.id} text={text} running={running} />
      <div class="desk column" role="toolbar" aria-label="Text">
        {/* One button, so that the focus stays where it is. */}
        <button
          type="button"
          class="button main"
          disabled={!running && (!free || text.trim() === "")}
          onClick={() => (running ? chats.stop() : writing.continue())}
          title={running ? "Esc" : "Ctrl Enter"}
        >
          {running ? <StopIcon /> : <OnIcon />} {running ? "Stop" : "Continue"}
        </button>
        <button
          type="button"
          class="button"
          disabled={!free || beforeLast(segments) === undefined}
          onClick={() => writing.again()}
          title="Another continuation in place of the last one"
        >
          <AgainIcon /> Again
        </button>
        <IconButton name="Undo" disabled={!free || !writing.steps.back} onClick={() => writing.undo()}>
          <UndoIcon />
        </IconButton>
        <IconButton name="Redo" disabled={!free || !writing.steps.forth} onClick={() => writing.redo()}>
          <RedoIcon />
        </IconButton>
        <CopyButton text={text} label="Copy text" />
        <small>{last && !running && noteOf(last)}</small>
      </div>
    </>
  );
}
