/**
 * Curves of a training as an SVG with a ground of its own, readable in light and in dark. Knows numbers and how to
 * draw them; where logs lie is the caller's affair.
 */
import type { LogLine } from "./log.ts";
import { ticksOf } from "./ticks.ts";

export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Curves of one training have one colour. */
  readonly colour: number;
  /** Drawn strongly, with a mark at each point: what was measured seldom. */
  readonly marked?: boolean;
}

export interface PlotOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

export type XAxis = "step" | "tokens" | "minutes";

/** The loss of steps, and each figure of validations that is asked for, of one log. */
export function curvesOf(
  name: string,
  lines: readonly LogLine[],
  x: XAxis,
  { figure = "loss", colour = 0 }: { readonly figure?: string; readonly colour?: number } = {},
): Curve[] {
  const at = (line: LogLine): number => (x === "minutes" ? line.seconds / 60 : line[x]);
  const points = (kind: LogLine["kind"]) =>
    lines.flatMap((line): [number, number][] => {
      const y = line.kind === kind ? (line as { [figure: string]: unknown })[figure] : undefined;
      return typeof y === "number" ? [[at(line), y]] : [];
    });
  return [
    { name: `${name}: training`, points: smooth(points("step")), colour },
    { name: `${name}: validation`, points: points("validation"), colour, marked: true },
  ].filter((curve) => curve.points.length > 0);
}

/** At most 400 points, each the mean of its neighbours. */
function smooth(points: readonly (readonly [number, number])[]): [number, number][] {
  const size = Math.ceil(points.length / 400);
  const out: [number, number][] = [];
  for (let i = 0; i < points.length; i += size) {
    const part = points.slice(i, i + size);
    out.push([part.at(-1)![0], part.reduce((sum, [, y]) => sum + y, 0) / part.length]);
  }
  return out;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [880, 480, 76, 24, 56, 60];
const COLOURS = 6;
const style = `
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.ground { fill: #ffffff } .title { font-size: 17px; font-weight: 600 } .quiet { fill: #59636e }
.grid { stroke: #d1d9e0 } .axis { stroke: #59636e } .legend { fill: #ffffff; fill-opacity: 0.85 }
.curve { fill: none; stroke-width: 1.5; stroke-linejoin: round } .strong { stroke-width: 2.5 }
.c0 { stroke: #2f74d0; color: #2f74d0 } .c1 { stroke: #d2691e; color: #d2691e } .c2 { stroke: #2e8b57; color: #2e8b57 }
.c3 { stroke: #8e44ad; color: #8e44ad } .c4 { stroke: #b8860b; color: #b8860b } .c5 { stroke: #c0392b; color: #c0392b }
.mark { fill: currentColor; stroke: none } .faint { stroke-opacity: 0.55 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .ground { fill: #0d1117 } .quiet { fill: #9198a1 } .grid { stroke: #3d444d }
  .axis { stroke: #9198a1 } .legend { fill: #0d1117 }
  .c0 { stroke: #539bf5; color: #539bf5 } .c1 { stroke: #f0883e; color: #f0883e } .c2 { stroke: #57ab5a; color: #57ab5a }
  .c3 { stroke: #b083f0; color: #b083f0 } .c4 { stroke: #daaa3f; color: #daaa3f } .c5 { stroke: #f47067; color: #f47067 }
}`;

export function plot(curves: readonly Curve[], { title, xLabel, yLabel }: PlotOptions): string {
  const all = curves.flatMap(({ points }) => points);
  const xs = ticksOf(0, Math.max(1e-9, ...all.map(([x]) => x)), 8);
  const ys = ticksOf(Math.min(...all.map(([, y]) => y)), top(curves), 8);
  const x = (value: number): number =>
    LEFT + ((WIDTH - LEFT - RIGHT) * (value - xs.low)) / (xs.high - xs.low || 1);
  const y = (value: number): number =>
    HEIGHT -
    BOTTOM -
    ((HEIGHT - TOP - BOTTOM) * (Math.min(value, ys.high) - ys.low)) / (ys.high - ys.low || 1);
  const text = (at: readonly [number, number], label: string, more = ""): string =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${more}>${escaped(label)}</text>`;
  const line = (kind: string, from: readonly [number, number], to: readonly [number, number]): string =>
    `<line class="${kind}" x1="${from[0].toFixed(1)}" y1="${from[1].toFixed(1)}" x2="${to[0].toFixed(1)}" y2="${to[1].toFixed(1)}"/>`;
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${HEIGHT}" rx="8"/>`,
    text([20, 32], title, 'class="title"'),
    ...ys.ticks.flatMap((tick, i) => [
      line("grid", [LEFT, y(tick)], [WIDTH - RIGHT, y(tick)]),
      text([LEFT - 10, y(tick) + 4], ys.labels[i]!, 'class="quiet" text-anchor="end"'),
    ]),
    ...xs.ticks.map((tick, i) =>
      text([x(tick), HEIGHT - BOTTOM + 20], xs.labels[i]!, 'class="quiet" text-anchor="middle"'),
    ),
    line("axis", [LEFT, HEIGHT - BOTTOM], [WIDTH - RIGHT, HEIGHT - BOTTOM]),
    text([(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16], xLabel, 'text-anchor="middle"'),
    `<text transform="translate(22 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escaped(yLabel)}</text>`,
  ];
  for (const { points, colour, marked } of curves) {
    const where = points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`);
    out.push(
      `<polyline class="curve c${colour % COLOURS} ${marked ? "strong" : "faint"}" points="${where.join(" ")}"/>`,
    );
    if (marked)
      for (const [a, b] of points)
        out.push(
          `<circle class="mark c${colour % COLOURS}" cx="${x(a).toFixed(1)}" cy="${y(b).toFixed(1)}" r="3"/>`,
        );
  }
  return `${[...out, ...legend(curves)].join("\n")}\n</svg>\n`;
}

/** The highest point that is shown: the first moments of a training would press all others flat. */
function top(curves: readonly Curve[]): number {
  const starts = curves.map(({ points, marked }) => {
    const sorted = points.map(([, y]) => y).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * (marked ? 1 : 0.97)))]!;
  });
  return Math.max(...starts);
}

function legend(curves: readonly Curve[]): string[] {
  const width = 52 + 7.4 * Math.max(...curves.map(({ name }) => name.length));
  const left = WIDTH - RIGHT - width - 8;
  return [
    `<rect class="legend" x="${left.toFixed(1)}" y="${TOP + 4}" width="${width.toFixed(1)}" height="${20 * curves.length + 10}" rx="4"/>`,
    ...curves.flatMap(({ name, colour, marked }, i) => {
      const y = TOP + 20 + 20 * i;
      const kind = `c${colour % COLOURS}`;
      return [
        `<line class="curve ${kind} ${marked ? "strong" : "faint"}" x1="${left + 8}" x2="${left + 36}" y1="${y}" y2="${y}"/>`,
        ...(marked ? [`<circle class="mark ${kind}" cx="${left + 22}" cy="${y}" r="3"/>`] : []),
        `<text x="${left + 44}" y="${y + 4}">${escaped(name)}</text>`,
      ];
    }),
  ];
}

const escaped = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
