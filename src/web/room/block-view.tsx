/** The cache as a map of its blocks: how many sequences hold each, and which are kept for later prompts. */
import type { BlockCounts } from "../../engine/report.ts";
import { Canvas, type Sheet } from "./canvas.tsx";

/** Pixels from one block to the next, and of the whole map, at most. */
const LARGEST = 14;
const SMALLEST = 3;
const HEIGHT = 220;

interface Props {
  readonly blocks: string;
  readonly counts: BlockCounts;
  readonly label: string;
}

const kinds = [
  ["users-1", "one sequence"],
  ["users-2", "2 or 3"],
  ["users-3", "4 to 7"],
  ["users-4", "8 or more"],
  ["kept", "kept for later prompts"],
  ["empty", "empty"],
] as const;

export const BlockView = ({ blocks, counts, label }: Props) => (
  <>
    <Canvas label={label} moving={false} draw={(sheet) => drawBlocks(sheet, blocks, counts.capacity)} />
    <ul class="legend">
      {kinds.map(([kind, words]) => (
        <li key={kind}>
          <svg viewBox="0 0 10 10" aria-hidden="true">
            <rect class={`fill-${kind}`} width="10" height="10" rx="1.5" />
          </svg>
          {words}
        </li>
      ))}
    </ul>
  </>
);

function drawBlocks({ context, width, color, begin }: Sheet, blocks: string, capacity: number): void {
  let size = LARGEST;
  while (size > SMALLEST && Math.ceil(capacity / Math.floor(width / size)) * size > HEIGHT) size--;
  const columns = Math.max(1, Math.floor(width / size));
  const rows = Math.ceil(capacity / columns);
  begin(rows * size);
  const gap = size > 6 ? 2 : 1;
  for (let i = 0; i < capacity; i++) {
    context.fillStyle = color(kindOf(blocks[i] ?? "."));
    context.fillRect((i % columns) * size, Math.floor(i / columns) * size, size - gap, size - gap);
  }
}

function kindOf(letter: string): (typeof kinds)[number][0] {
  if (letter === ".") return "empty";
  if (letter === "-") return "kept";
  const users = Number.parseInt(letter, 36);
  return users >= 8 ? "users-4" : users >= 4 ? "users-3" : users >= 2 ? "users-2" : "users-1";
}
