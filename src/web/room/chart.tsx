/** A line chart over the last two minutes. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { SAMPLE, SAMPLES, type Sample } from "./history.ts";
import { paletteOf } from "./palette.ts";

const HEIGHT = 180;
const SPAN = (SAMPLE * SAMPLES) / 1000;

export interface Line {
  readonly name: string;
  /** Of the page's variables. */
  readonly color: string;
  readonly dash?: readonly number[];
  readonly value: (sample: Sample) => number | undefined;
}

interface Props {
  readonly label: string;
  readonly lines: readonly Line[];
  readonly samples: readonly Sample[];
  readonly show: (value: number) => string;
  /** Powers of ten, not steps of equal size. */
  readonly logarithmic?: boolean;
}

export function Chart({ label, lines, samples, show, logarithmic = false }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  useEffect(() => {
    const div = place.current!;
    const { color, stop } = paletteOf(div);
    const axis = {
      stroke: () => color("muted"),
      font: "11px system-ui, sans-serif",
      ticks: { show: false },
      grid: { stroke: () => color("line"), width: 1 },
    };
    const plot = new uPlot(
      {
        ...{ width: Math.max(1, div.clientWidth), height: HEIGHT },
        padding: [8, 18, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false, range: (_, __, max) => [max - SPAN, max] },
          y: logarithmic ? { distr: 3 } : { range: (_, __, max) => [0, Math.max(1, max * 1.1)] },
        },
        axes: [
          {
            ...{ ...axis, size: 24, space: 60, grid: { show: false } },
            // Whole steps back from now, not of the page's own clock.
            splits: (_, __, ___, max) => [120, 90, 60, 30, 0].map((ago) => max - ago),
            values: (self, splits) =>
              splits.map((at) => {
                const ago = Math.round(self.scales.x!.max! - at);
                return ago === 0 ? "now" : `−${ago} s`;
              }),
          },
          {
            ...{ ...axis, size: 56, space: 36 },
            ...(logarithmic && {
              splits: (_: uPlot, __: number, min: number, max: number) => decades(min, max),
            }),
            values: (_, splits) => splits.map((value) => (value === null ? "" : show(value))),
          },
        ],
        series: [
          {},
          ...lines.map(({ name, color: own, dash }) => ({
            ...{ label: name, stroke: () => color(own), width: 2, spanGaps: false },
            points: { show: false },
            ...(dash && { dash: [...dash] }),
          })),
        ],
      },
      [[]],
      div,
    );
    chart.current = plot;
    const observer = new ResizeObserver(() =>
      plot.setSize({ width: Math.max(1, div.clientWidth), height: HEIGHT }),
    );
    observer.observe(div);
    return () => {
      observer.disconnect();
      stop();
      plot.destroy();
    };
  }, []);

  const last = samples.at(-1);
  useEffect(() => {
    const columns = lines.map(({ value }) => samples.map((sample) => value(sample) ?? null));
    chart.current?.setData([samples.map(({ time }) => time), ...columns]);
  }, [last]);

  return (
    <>
      <div class="chart" ref={place} role="img" aria-label={label} />
      <ul class="legend">
        {lines.map(({ name, color, dash, value }) => {
          const current = last && value(last);
          return (
            <li key={name}>
              <svg viewBox="0 0 16 10" aria-hidden="true">
                <line class={`stroke-${color}`} x2="16" y1="5" y2="5" stroke-dasharray={dash?.join(" ")} />
              </svg>
              {name} <b>{current === undefined ? "–" : show(current)}</b>
            </li>
          );
        })}
      </ul>
    </>
  );
}

/** 1, 3, 10, 30 and so on. */
function decades(min: number, max: number): number[] {
  const all: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(min)); power <= max; power *= 10)
    all.push(...[power, 3 * power].filter((value) => value >= min && value <= max));
  return all;
}
