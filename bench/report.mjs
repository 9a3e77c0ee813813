/** The results as Markdown: for each case a table, with a line for each of ours beside each peer, losses as losses. */
import { limitOf, percent } from "./measure.mjs";

export function markdown({ date, machine, limits, cases }) {
  const lines = [`# Fovea beside its peers, ${date.slice(0, 10)}`, "", describe(machine), ""];
  const bounds = Object.entries(limits).filter(([, limit]) => limit);
  for (const [threads, { read, operations }] of bounds)
    lines.push(
      `With ${threads} ${threads === "1" ? "thread" : "threads"} the machine reads ${read.toFixed(1)} GB/s and ` +
        `multiplies and adds ${Object.entries(operations)
          .map(([name, value]) => `${value.toFixed(0)} GOP/s (${name})`)
          .join(", ")}.`,
      "",
    );
  lines.push(
    "Medians of interleaved rounds; ± is half of the interquartile range. A ratio above 1 is a win of Fovea.",
    "",
  );
  for (const one of cases) lines.push(...section(one, limits));
  return lines.join("\n");
}

export function describe({ packages: { fovea, ...peers }, commit, cpu, cores, memoryBytes, kernel, node }) {
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  return (
    `Fovea ${fovea} (${commit ?? "no commit"}) beside ${versions.join(", ")} on ${cpu}, ${cores} cores, ` +
    `${(memoryBytes / 2 ** 30).toFixed(0)} GiB, Linux ${kernel}, Node ${node.slice(1)}.`
  );
}

function section({ title, about, rows, missing }, limits) {
  const lines = [`## ${title}`, "", about, ""];
  const table = rows.flatMap((row) =>
    row.measures.flatMap((measure) => measure.ratios.map((ratio) => line(row, measure, ratio, limits))),
  );
  if (table.length > 0)
    lines.push(
      "| what | threads | measure | Fovea | peer | ratio | Fovea achieves | peer achieves |",
      "| --- | --- | --- | --- | --- | --- | --- | --- |",
      ...table,
      "",
    );
  for (const { label, threads, absent, measures } of rows) {
    const where = `${label}, threads: ${threads}`;
    for (const { engine, reason } of absent) lines.push(`Not measured: ${where}: ${engine}: ${reason}`, "");
    for (const { name, refused } of measures)
      for (const { engine, reason } of refused)
        lines.push(`Refused: ${where}: ${name} of ${engine} ${reason}`, "");
  }
  for (const { label, threads, reason } of missing)
    lines.push(`Not measured: ${label}${threads ? `, threads: ${threads}` : ""}: ${reason}`, "");
  return lines;
}

function line({ label, threads }, { name, unit, limit, results }, { ours, peer, median, spread }, limits) {
  const cell = (engine, plain) =>
    `${engine === plain ? "" : `${engine}: `}${number(results[engine].median)} ${unit} ± ${percent(results[engine].spread)}`;
  const bound = limit && limits[threads] && limitOf(limit, limits[threads]).name;
  const achieves = (engine) => achievement(results[engine], limit, bound);
  return (
    `| ${label} | ${threads} | ${name} | ${cell(ours, "Fovea")} | ${cell(peer)} | ` +
    `**${median.toFixed(2)}**${median < 1 ? " (loss)" : ""} ± ${percent(spread)} | ${achieves(ours)} | ${achieves(peer)} |`
  );
}

function achievement({ gigabytes, gigaOperations, share }, limit, bound) {
  const rate = limit === "read" ? gigabytes : gigaOperations;
  if (rate === undefined) return "";
  const text = limit === "read" ? `${rate.toFixed(1)} GB/s` : `${rate.toFixed(0)} GOP/s`;
  return share === undefined ? text : `${text}, ${percent(share)} of ${bound}`;
}

/** Three or four digits that count. */
const number = (x) => (x >= 1000 ? x.toFixed(0) : x >= 100 ? x.toFixed(1) : x.toPrecision(3));
