/** The keys, for who asks. */
import { CloseIcon } from "../icons.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { shortcuts } from "./shortcuts.ts";

export const ShortcutList = ({ onClose }: { readonly onClose: () => void }) => (
  <Dialog class="keys" label="Keyboard" onClose={onClose}>
    <div class="panel">
      <div class="panel-head">
        <h2>Keyboard</h2>
        <button type="button" class="plain" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
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
