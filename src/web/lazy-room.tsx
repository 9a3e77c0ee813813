/** The engine room, loaded when it is first opened: who chats does not wait for its charts. */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { FailureBox } from "./parts/failure-box.tsx";

export function Room() {
  const [Loaded, setLoaded] = useState<ComponentType>();
  const [failure, setFailure] = useState<string>();
  useEffect(() => {
    import("./room/room.tsx").then(
      ({ Room }) => setLoaded(() => Room),
      (error: Error) => setFailure(error.message),
    );
  }, []);
  if (Loaded !== undefined) return <Loaded />;
  return (
    <main class="center" tabIndex={-1} aria-busy={failure === undefined}>
      {failure !== undefined && (
        <FailureBox
          failure={{ message: `The engine room could not be loaded: ${failure}` }}
          // Browsers remember that a module failed; and a newer server has others.
          onRetry={() => location.reload()}
        />
      )}
    </main>
  );
}
