/** What an empty conversation shows: what this model does, and something to begin with. */
import { chats, useChats } from "../store/page.ts";
import { welcomeOf } from "./welcome.ts";

export function Welcome({ onPick }: { readonly onPick: (text: string) => void }) {
  const model = useChats(() => chats.model());
  const kind = useChats((state) => state.current.body.kind);
  if (model === undefined) return null;
  const { title, about, beginnings } = welcomeOf({ id: model.id, chat: kind === "chat" });
  return (
    <section class="welcome">
      <h3>{title}</h3>
      <p>{about} It runs on this server; nothing leaves it.</p>
      <ul>
        {beginnings.map((text) => (
          <li key={text}>
            <button type="button" onClick={() => onPick(text)}>
              {text}
              {kind === "text" && !text.endsWith(".") && " …"}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
