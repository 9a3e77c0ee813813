/** Sequences as lanes over time. States differ in colour and in height. */
import type { SequenceState } from "../../engine/report.ts";
import { Canvas, type Sheet } from "./canvas.tsx";
import type { History } from "./history.ts";
import { SPAN } from "./lanes.ts";

/** Milliseconds that the picture is behind, so that what it shows at its edge has come. */
const DELAY = 150;
const ROW = 11;
const FEWEST = 8;
const AXIS = 20;

/** Of each state its colour, and the share of the row's height that it takes. */
const looks: Readonly<Record<SequenceState, { readonly color: string; readonly height: number }>> = {
  prefill: { color: "prefill", height: 1 },
  decode: { color: "decode", height: 0.6 },
  paused: { color: "paused", height: 0.25 },
  waiting: { color: "waiting", height: 0.25 },
  preempted: { color: "preempted", height: 0.4 },
};

interface Props {
  readonly history: History;
  readonly moving: boolean;
  readonly label: string;
}

export const LaneView = ({ history, moving, label }: Props) => (
  <>
    <Canvas label={label} moving={moving} draw={(sheet) => drawLanes(sheet, history)} />
    <ul class="legend">
      {(Object.keys(looks) as SequenceState[]).map((state) => (
        <li key={state}>
          <svg viewBox="0 0 16 10" aria-hidden="true">
            <rect
              class={`fill-${state}`}
              y={5 - 5 * looks[state].height}
              width="16"
              height={10 * looks[state].height}
            />
          </svg>
          {state}
        </li>
      ))}
    </ul>
  </>
);

function drawLanes({ context, width, color, begin }: Sheet, { lanes, offset }: History): void {
  // In steps, so that the page does not jump with every request.
  const rows = Math.max(FEWEST, Math.ceil(lanes.rows.length / 8) * 8);
  const bottom = rows * ROW;
  begin(bottom + AXIS);
  drawTime({ context, width, color, begin }, bottom);
  if (offset === undefined) return;
  const end = performance.now() - offset - DELAY;
  const x = (at: number): number => ((at - end + SPAN) / SPAN) * width;
  for (const [i, { stretches }] of lanes.rows.entries())
    for (const { from, to, state } of stretches) {
      if (to < end - SPAN || from > end) continue;
      const look = looks[state];
      const height = (ROW - 3) * look.height;
      const left = Math.max(0, x(from));
      context.fillStyle = color(look.color);
      context.fillRect(
        left,
        i * ROW + (ROW - height) / 2,
        Math.max(1, Math.min(width, x(to)) - left),
        height,
      );
    }
}

/** A line for every five seconds, with how long ago that was. */
function drawTime({ context, width, color }: Sheet, bottom: number): void {
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "bottom";
  const step = width < 500 ? 10 : 5;
  for (let ago = 0; ago <= SPAN / 1000; ago += step) {
    const x = width * (1 - (1000 * ago) / SPAN);
    context.fillStyle = color("line");
    context.fillRect(Math.min(x, width - 1), 0, 1, bottom);
    context.fillStyle = color("muted");
    context.textAlign = ago === 0 ? "right" : x < 20 ? "left" : "center";
    context.fillText(ago === 0 ? "now" : `−${ago} s`, x, bottom + AXIS - 2);
  }
}
