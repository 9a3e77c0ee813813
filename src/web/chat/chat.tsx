/** The chat view: the list of conversations, the one that is shown, and its settings. */
import { useEffect, useRef, useState } from "preact/hooks";
import { FailureBox } from "../parts/failure-box.tsx";
import { useKeptFocus } from "../parts/kept-focus.ts";
import { hasMouse, useWide } from "../parts/media.ts";
import { Panel } from "../parts/panel.tsx";
import { chatHash, type Route, setAddress } from "../route.ts";
import { SettingsPanel } from "../settings/settings-panel.tsx";
import { chats, useChats } from "../store/page.ts";
import { preferences, usePreference } from "../store/preferences.ts";
import { isEmpty } from "../store/types.ts";
import { TokenCard } from "../tokens/token-card.tsx";
import { List } from "./list.tsx";
import { ShortcutList } from "./shortcut-list.tsx";
import { useShortcuts } from "./shortcuts.ts";
import { TalkView } from "./talk-view.tsx";
import { TextView } from "./text-view.tsx";
import { Toolbar } from "./toolbar.tsx";

export function Chat({ route }: { readonly route: Extract<Route, { view: "chat" }> }) {
  const wide = useWide();
  const [list, setList] = usePreference("list");
  const [settings, setSettings] = usePreference("settings");
  // Drawers cover the text, so they never open by themselves.
  const [drawer, setDrawer] = useState<"list" | "settings">();
  const [probabilities] = usePreference("probabilities");
  const [help, setHelp] = useState(false);
  const listOpen = wide ? list === "open" : drawer === "list";
  const settingsOpen = wide ? settings === "open" : drawer === "settings";
  const other = (name: "list" | "settings") => (preferences.get(name) === "open" ? "closed" : "open");
  const toggleList = () =>
    wide ? setList(other("list")) : setDrawer((is) => (is === "list" ? undefined : "list"));
  const toggleSettings = () =>
    wide ? setSettings(other("settings")) : setDrawer((is) => (is === "settings" ? undefined : "settings"));

  const center = useRef<HTMLElement>(null);
  useKeptFocus(center, () => (hasMouse() ? document.querySelector<HTMLElement>("#text") : undefined));
  useAddress(route);
  useShortcuts({ list: toggleList, settings: toggleSettings, help: () => setHelp(true) });

  return (
    <div
      data-probabilities={probabilities}
      class={`chat ${wide && listOpen ? "with-list" : ""} ${wide && settingsOpen ? "with-settings" : ""}`}
    >
      {listOpen && (
        <Panel title="Conversations" side="start" onClose={toggleList}>
          <List onPick={() => setDrawer(undefined)} onHelp={() => setHelp(true)} />
        </Panel>
      )}
      <main class="center" ref={center} tabIndex={-1}>
        <Toolbar
          listOpen={listOpen}
          settingsOpen={settingsOpen}
          onList={toggleList}
          onSettings={toggleSettings}
        />
        <Notices />
        <Shown />
      </main>
      {settingsOpen && (
        <Panel title="Settings" side="end" onClose={toggleSettings}>
          <SettingsPanel />
        </Panel>
      )}
      <TokenCard />
      {help && <ShortcutList onClose={() => setHelp(false)} />}
    </div>
  );
}

function Shown() {
  const kind = useChats((state) => state.current.body.kind);
  return kind === "chat" ? <TalkView /> : <TextView />;
}

function Notices() {
  const failure = useChats((state) => state.failure);
  const notice = useChats((state) => state.notice);
  return (
    <>
      {failure && <FailureBox failure={failure} onRetry={() => void chats.loadModels()} />}
      {notice !== undefined && (
        <div class="notice" role="status">
          <p>{notice}</p>
          <button type="button" class="button" onClick={() => chats.notify(undefined)}>
            Dismiss
          </button>
        </div>
      )}
    </>
  );
}

/** The address names the conversation that is shown, so that it can be gone back to. */
function useAddress(route: Extract<Route, { view: "chat" }>): void {
  const shown = useChats(({ current }) => (isEmpty(current) ? undefined : current.id));
  const title = useChats(({ heads, current }) => heads.find(({ id }) => id === current.id)?.title);
  useEffect(() => {
    if (route.id !== undefined && route.id !== chats.state.current.id) void chats.select(route.id);
  }, [route.id]);
  const mounted = useRef(false);
  useEffect(() => {
    const hash = chatHash(shown);
    const first = !mounted.current;
    mounted.current = true;
    // At first the address may name what is still to be read.
    if (first && shown === undefined) return;
    if (location.hash === hash || (shown === undefined && location.hash === "")) return;
    // An address that named none is replaced: going back to it would lead nowhere.
    setAddress(hash, route.id === undefined ? "replaceState" : "pushState");
  }, [shown]);
  useEffect(() => {
    document.title = title === undefined ? "Fovea" : `${title} · Fovea`;
  }, [title]);
}
