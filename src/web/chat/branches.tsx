/** Which of several tries is shown, and the way to the others. */
import { LeftIcon, RightIcon } from "../icons.tsx";
import { IconButton } from "../parts/icon-button.tsx";
import { talking } from "../store/page.ts";
import type { Message } from "../store/types.ts";

interface Props {
  readonly message: Message;
  readonly branches: readonly Message[];
  readonly busy: boolean;
}

export function Branches({ message, branches, busy }: Props) {
  if (branches.length < 2) return null;
  const at = branches.findIndex(({ id }) => id === message.id);
  const step = (by: -1 | 1, name: string) => {
    const other = branches[at + by];
    return (
      <IconButton
        name={name}
        disabled={other === undefined || busy}
        onClick={() => other && talking.showBranch(other)}
      >
        {by < 0 ? <LeftIcon /> : <RightIcon />}
      </IconButton>
    );
  };
  return (
    <span class="branches">
      {step(-1, "Earlier version")}
      <span>
        <span class="hidden">Version </span>
        {at + 1}/{branches.length}
      </span>
      {step(1, "Later version")}
    </span>
  );
}
