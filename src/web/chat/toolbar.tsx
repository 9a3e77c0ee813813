/** The line above a conversation: which one, with which model, and what can be opened beside it. */
import { MenuIcon, PlusIcon, SlidersIcon } from "../icons.tsx";
import { IconButton } from "../parts/icon-button.tsx";
import { countOf } from "../settings/settings.ts";
import { chats, useChats } from "../store/page.ts";
import { isEmpty, titleOf } from "../store/types.ts";

interface Props {
  readonly listOpen: boolean;
  readonly settingsOpen: boolean;
  readonly onList: () => void;
  readonly onSettings: () => void;
}

export function Toolbar({ listOpen, settingsOpen, onList, onSettings }: Props) {
  const title = useChats(({ current }) => titleOf(current));
  const set = useChats(({ current }) => countOf(current.settings, current.body.kind));
  const empty = useChats(({ current }) => isEmpty(current));
  return (
    <div class="toolbar">
      <IconButton name="Conversations" expanded={listOpen} onClick={onList}>
        <MenuIcon />
      </IconButton>
      <h2 title={title}>{title}</h2>
      <ModelChoice />
      <IconButton name="New" disabled={empty} onClick={() => chats.draft()}>
        <PlusIcon />
      </IconButton>
      <IconButton
        name={set === 0 ? "Settings" : `Settings, ${set} changed`}
        title="Settings"
        expanded={settingsOpen}
        onClick={onSettings}
      >
        <SlidersIcon />
        {set > 0 && <span class="badge">{set}</span>}
      </IconButton>
    </div>
  );
}

function ModelChoice() {
  const models = useChats((state) => state.models);
  const chosen = useChats(() => chats.model()?.id);
  if (models === undefined) return null;
  if (models.length === 1) {
    const { id, parameters, device } = models[0]!;
    const facts = [parameters && `${compact(parameters)} parameters`, device].filter(Boolean).join(", ");
    return (
      <p class="model" title={facts}>
        {id}
      </p>
    );
  }
  return (
    <select
      class="model"
      aria-label="Model"
      value={chosen}
      onChange={(event) => chats.chooseModel(event.currentTarget.value)}
    >
      {models.map(({ id }) => (
        <option key={id} value={id}>
          {id}
        </option>
      ))}
    </select>
  );
}

const compact = (count: number): string =>
  new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(count);
