/** The text so far: turns of a talk, or one text that the model has continued; and what to begin with. */
import { useLayoutEffect, useRef } from "preact/hooks";
import type { ModelFacts } from "./api.ts";
import type { Conversation, Turn } from "./conversation.ts";
import { welcomeOf } from "./welcome.ts";

interface Props {
  readonly model: ModelFacts | undefined;
  readonly conversation: Conversation;
}

export function Transcript({ model, conversation }: Props) {
  const { turns, running } = conversation;
  const main = useFollowing(turns);
  return (
    <main ref={main} tabIndex={-1}>
      <div class="column">
        {model && turns.length === 0 && <Welcome model={model} onPick={conversation.send} />}
        <div role="log" aria-label="Text" aria-live="polite" aria-busy={running}>
          {model?.chat ? <Talk turns={turns} running={running} /> : <Story turns={turns} running={running} />}
        </div>
      </div>
    </main>
  );
}

function Welcome({ model, onPick }: { model: ModelFacts; onPick: (text: string) => void }) {
  const { title, about, beginnings } = welcomeOf(model);
  return (
    <section class="welcome">
      <h2>{title}</h2>
      <p>{about} It runs on this server; nothing leaves it.</p>
      <ul>
        {beginnings.map((text) => (
          <li key={text}>
            <button type="button" onClick={() => onPick(text)}>
              {text}
              {!model.chat && !text.endsWith(".") && " …"}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface TurnsProps {
  readonly turns: readonly Turn[];
  readonly running: boolean;
}

const Talk = ({ turns, running }: TurnsProps) => (
  <>
    {turns.map(({ from, text, note }, i) => (
      <article key={i} class={`turn ${from}`}>
        <h3 class="hidden">{from === "user" ? "You" : "Model"}</h3>
        <p>
          {text}
          {running && i === turns.length - 1 && <Caret />}
        </p>
        {note && <small>{note}</small>}
      </article>
    ))}
  </>
);

/** One text; what the model wrote is set off by colour, and by an element that assistive technology knows. */
const Story = ({ turns, running }: TurnsProps) =>
  turns.length === 0 ? null : (
    <article class="story">
      <p>
        {turns.map(({ from, text }, i) =>
          from === "user" ? <span key={i}>{text}</span> : <ins key={i}>{text}</ins>,
        )}
        {running && <Caret />}
      </p>
      <small>{turns.at(-1)?.note}</small>
    </article>
  );

const Caret = () => <span class="caret" aria-hidden="true" />;

/** Keeps the end in view while text arrives, unless the reader has scrolled up. */
function useFollowing(turns: readonly Turn[]) {
  const ref = useRef<HTMLElement>(null);
  const following = useRef(true);
  useLayoutEffect(() => {
    const element = ref.current!;
    const onScroll = () => {
      following.current = element.scrollHeight - element.scrollTop - element.clientHeight < 80;
    };
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => element.removeEventListener("scroll", onScroll);
  }, []);
  useLayoutEffect(() => {
    const element = ref.current!;
    if (following.current) element.scrollTop = element.scrollHeight;
  }, [turns]);
  return ref;
}
