/** The whole page: the header, and beneath it one of the views. */

import { useEffect } from "preact/hooks";
import { Chat } from "./chat/chat.tsx";
import { Header } from "./header.tsx";
import { Room } from "./lazy-room.tsx";
import { useRoute } from "./route.ts";
import { chats, useChats } from "./store/page.ts";
import { isEmpty } from "./store/types.ts";

export function App() {
  const route = useRoute();
  const last = useChats(({ current }) => (isEmpty(current) ? undefined : current.id));
  useEffect(() => {
    void chats.start(route.view === "chat" ? route.id : undefined);
  }, []);
  return (
    <>
      <Header route={route} last={last} />
      {route.view === "room" ? <Room /> : <Chat route={route} />}
    </>
  );
}
