/** The whole page: which model, the text so far, and what the user writes. */
import { useEffect, useState } from "preact/hooks";
import { firstModel, type ModelFacts, type Settings } from "./api.ts";
import { Composer } from "./composer.tsx";
import { useConversation } from "./conversation.ts";
import { Header } from "./header.tsx";
import { Transcript } from "./transcript.tsx";

export function App() {
  const [model, setModel] = useState<ModelFacts>();
  const [unreachable, setUnreachable] = useState<string>();
  const [settings, setSettings] = useState<Settings>({ temperature: 0.8, maxTokens: 256 });
  const conversation = useConversation(model, settings);

  useEffect(() => {
    firstModel().then(
      (found) => {
        setModel(found);
        document.title = `${found.id} · Fovea`;
        // A small context would be used up by one long answer.
        setSettings((s) => ({
          ...s,
          maxTokens: Math.min(s.maxTokens, largestPower(found.context_length / 4)),
        }));
      },
      (error: Error) => setUnreachable(error.message),
    );
  }, []);

  return (
    <>
      <Header model={model} onReset={conversation.turns.length > 0 ? conversation.reset : undefined} />
      <Transcript model={model} conversation={conversation} />
      <Composer
        model={model}
        conversation={conversation}
        settings={settings}
        onSettings={setSettings}
        error={
          unreachable === undefined ? conversation.error : `The server cannot be reached: ${unreachable}`
        }
      />
    </>
  );
}

const largestPower = (limit: number): number => 2 ** Math.max(4, Math.floor(Math.log2(limit)));
