/** The whole page: the header, and beneath it one of the views. */
import { Chat } from "./chat/chat.tsx";
import { Header } from "./header.tsx";
import { Room } from "./lazy-room.tsx";
import { useRoute } from "./route.ts";

export function App() {
  const route = useRoute();
  return (
    <>
      <Header route={route} last={undefined} />
      {route.view === "room" ? <Room /> : <Chat />}
    </>
  );
}
