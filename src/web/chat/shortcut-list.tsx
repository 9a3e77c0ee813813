/** The keys, for who asks. */
import { CloseIcon } from "../icons.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { IconButton } from "../parts/icon-button.tsx";
import { shortcuts } from "./shortcuts.ts";

export const ShortcutList = ({ onClose }: { readonly onClose: () => void }) => (
  <Dialog class="keys" label="Keyboard" onClose={onClose}>
    <div class="panel">
      <div class="panel-head">
        <h2>Keyboard</h2>
        <IconButton name="Close" onClick={onClose}>
          <CloseIcon />
        </IconButton>
      </div>
      <dl>
        {shortcuts.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </div>
  </Dialog>
);
