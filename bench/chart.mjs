/**
 * The ratios of the results as an SVG: a bar for each, on a logarithmic scale around 1, wins to the right and losses
 * to the left in another colour. Drawn on a ground of its own, so that it reads in light and in dark.
 */
import { describe } from "./report.mjs";

const [WIDTH, LEFT, RIGHT, LINE, TOP] = [1120, 610, 90, 19, 84];

const style = `
text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.ground { fill: #ffffff } .title { font-size: 17px; font-weight: 600 } .case { font-size: 13px; font-weight: 600 }
.quiet { fill: #59636e } .grid { stroke: #d1d9e0 } .one { stroke: #59636e; stroke-width: 1.5 }
.win { fill: #2f74d0 } .loss { fill: #d2691e } .spread { stroke: #1f2328; stroke-opacity: 0.55 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .ground { fill: #0d1117 } .quiet { fill: #9198a1 } .grid { stroke: #3d444d }
  .one { stroke: #9198a1 } .win { fill: #539bf5 } .loss { fill: #f0883e } .spread { stroke: #f0f6fc }
}`;

/** Bars in the order of the results, with a heading for each case that has any. */
export function barsOf({ cases }) {
  return cases.flatMap(({ title, rows }) => {
    const bars = rows.flatMap(({ label, threads, measures }) =>
      measures.flatMap(({ name, ratios }) =>
        ratios.map(({ ours, peer, median, spread }) => ({
          label: `${label}${threads === 1 ? ", 1 thread" : ""}: ${name}${ours === "Fovea" ? "" : `, ${ours}`}`,
          peer,
          ratio: median,
          spread,
        })),
      ),
    );
    return bars.length > 0 ? [{ heading: title }, ...bars] : [];
  });
}

export function chart(results) {
  const bars = barsOf(results);
  const ratios = bars.flatMap(({ ratio }) => (ratio === undefined ? [] : [ratio]));
  // At least from a half to four times, so that a small difference looks small.
  const low = Math.min(0.5, ...ratios);
  const high = Math.max(4, ...ratios);
  const x = (ratio) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(ratio / low)) / Math.log(high / low);
  const height = TOP + LINE * bars.length + 28;
  const marks = [0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32].filter((mark) => mark >= low && mark <= high);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="8"/>`,
    `<text class="title" x="20" y="30">How many times as fast (or as small) as its peers Fovea is</text>`,
    ...wrapped(describe(results.machine), 175).map(
      (text, i) =>
        `<text class="quiet" x="20" y="${49 + 15 * i}" style="font-size: 11px">${escaped(text)}</text>`,
    ),
    ...marks.flatMap((mark) => [
      `<line class="${mark === 1 ? "one" : "grid"}" x1="${x(mark)}" x2="${x(mark)}" y1="${TOP - 4}" y2="${height - 24}"/>`,
      `<text class="quiet" x="${x(mark)}" y="${height - 9}" text-anchor="middle">${mark}×</text>`,
    ]),
  ];
  for (const [i, { heading, label, peer, ratio, spread }] of bars.entries()) {
    const y = TOP + LINE * i;
    if (heading !== undefined) {
      lines.push(`<text class="case" x="20" y="${y + 14}">${escaped(heading)}</text>`);
      continue;
    }
    const [from, to] = ratio >= 1 ? [x(1), x(ratio)] : [x(ratio), x(1)];
    const [least, most] = [x(Math.max(low, ratio * (1 - spread))), x(Math.min(high, ratio * (1 + spread)))];
    lines.push(
      `<text x="${LEFT - 12}" y="${y + 13}" text-anchor="end">${escaped(label)} <tspan class="quiet">/ ${escaped(peer)}</tspan></text>`,
      `<rect class="${ratio >= 1 ? "win" : "loss"}" x="${from.toFixed(1)}" y="${y + 3}" width="${Math.max(1, to - from).toFixed(1)}" height="${LINE - 6}"/>`,
      `<line class="spread" x1="${least.toFixed(1)}" x2="${most.toFixed(1)}" y1="${y + LINE / 2}" y2="${y + LINE / 2}"/>`,
      `<text x="${(Math.max(to, most) + 6).toFixed(1)}" y="${y + 13}">${ratio.toFixed(2)}×</text>`,
    );
  }
  return `${lines.join("\n")}\n</svg>\n`;
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** Text in lines of at most so many characters. */
function wrapped(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1).length + word.length > width) lines.push("");
    lines.push(`${lines.pop()}${word} `);
  }
  return lines.map((line) => line.trim());
}
