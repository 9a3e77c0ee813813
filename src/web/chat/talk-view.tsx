/** A talk: its messages, and the field for the next one. */
import { useRef, useState } from "preact/hooks";
import { useFollowing } from "../parts/following.ts";
import { Live } from "../parts/live.tsx";
import { talking, useChats } from "../store/page.ts";
import { pathOf, siblingsOf } from "../store/talk.ts";
import { isEmpty } from "../store/types.ts";
import { AnswerMessage } from "./answer-message.tsx";
import { Composer } from "./composer.tsx";
import { UserMessage } from "./user-message.tsx";
import { Welcome } from "./welcome.tsx";

export function TalkView() {
  const current = useChats((state) => state.current);
  const running = useChats((state) => state.running.has(state.current.id));
  const [editing, setEditing] = useState<string>();
  const scroller = useRef<HTMLElement>(null);
  useFollowing(scroller, current.body, current.id, !isEmpty(current));
  if (current.body.kind !== "chat") return null;
  const talk = current.body;
  const path = pathOf(talk);
  const last = path.at(-1);
  return (
    <>
      <section class="scroller" ref={scroller} aria-label="Conversation">
        <div class="column">
          {path.length === 0 && <Welcome onPick={(text) => talking.send(text)} />}
          {path.map((message) => {
            const branches = siblingsOf(talk, message);
            return message.role === "user" ? (
              <UserMessage
                key={message.id}
                message={message}
                branches={branches}
                editing={editing === message.id}
                onEdit={setEditing}
                busy={running}
              />
            ) : (
              <AnswerMessage
                key={message.id}
                message={message}
                branches={branches}
                last={message === last}
                busy={running}
              />
            );
          })}
          {last?.role === "user" && !running && (
            // An answer that was deleted, or an import that ends with a question.
            <button type="button" class="button" onClick={() => talking.answer(last)}>
              Answer
            </button>
          )}
        </div>
      </section>
      <Live id={last?.id} text={last?.role === "assistant" ? last.text : ""} running={running} />
      <Composer
        key={current.id}
        id={current.id}
        running={running}
        onUp={() => setEditing(path.findLast(({ role }) => role === "user")?.id)}
      />
    </>
  );
}
