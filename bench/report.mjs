/** The results as a Markdown table: one line a row and phase, losses beside wins. */
import { percent } from "./measure.mjs";

export function markdown({ machine, rows, refused }) {
  const lines = [
    `Fovea ${machine.packages.fovea} (${machine.commit ?? "no commit"}) beside llama.cpp ` +
      `(node-llama-cpp ${machine.packages["node-llama-cpp"]}) on ${machine.cpu}, ${machine.cores} cores, ` +
      `${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, Linux ${machine.kernel}, Node ${machine.node.slice(1)}. ` +
      "Medians of interleaved rounds; ± is half of the interquartile range.",
    "",
  ];
  if (rows.length > 0) lines.push(...table(rows), "");
  for (const { plan, reason } of refused)
    lines.push(`Not measured: ${plan.shape} ${plan.format}, threads: ${plan.threads}: ${reason}`, "");
  return lines.join("\n");
}

function table(rows) {
  const lines = [
    "| model | weights | threads | phase | Fovea tok/s | llama.cpp tok/s | ratio | Fovea achieves | llama.cpp achieves |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
  ];
  for (const row of rows) {
    const { shape, format, threads, prefill, decode, promptTokens, generatedTokens } = row;
    const line = (phase, { fovea, llama, ratio }, achieved) =>
      lines.push(
        `| ${shape} | ${format} | ${threads} | ${phase} | ${rate(fovea)} | ${rate(llama)} | ` +
          `**${ratio.median.toFixed(2)}** ± ${percent(ratio.spread)} | ${achieved(fovea)} | ${achieved(llama)} |`,
      );
    line(`prefill ${promptTokens}`, prefill, (x) => `${x.gigaOperations.toFixed(0)} GOP/s`);
    line(`decode ${generatedTokens}`, decode, (x) =>
      x.bandwidthShare === undefined
        ? `${x.gigabytes.toFixed(1)} GB/s`
        : `${x.gigabytes.toFixed(1)} GB/s, ${percent(x.bandwidthShare)} of reading`,
    );
  }
  return lines;
}

const rate = ({ tokensPerSecond, spread }) => `${tokensPerSecond.toFixed(1)} ± ${percent(spread)}`;
