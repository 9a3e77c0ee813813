/** How much the engine does, and how long one waits for it. */
import { Chart, type Line } from "./chart.tsx";
import type { Sample } from "./history.ts";
import { showRate, showTime } from "./words.ts";

const rates: readonly Line[] = [
  { name: "generated", color: "decode", value: ({ generated }) => generated },
  { name: "prompts", color: "prefill", value: ({ prefill }) => prefill },
];

const times: readonly Line[] = [
  { name: "first token, half", color: "prefill", value: ({ first }) => first.p50 },
  { name: "95 of 100", color: "prefill", dash: [4, 3], value: ({ first }) => first.p95 },
  { name: "between tokens, half", color: "decode", value: ({ between }) => between.p50 },
  { name: "95 of 100 ", color: "decode", dash: [4, 3], value: ({ between }) => between.p95 },
];

export const Charts = ({ samples }: { readonly samples: readonly Sample[] }) => (
  <div class="pair">
    <section aria-labelledby="throughput">
      <h3 id="throughput">Tokens per second</h3>
      <Chart
        label="Tokens per second over two minutes; the numbers of now stand below"
        lines={rates}
        samples={samples}
        show={showRate}
      />
    </section>
    <section aria-labelledby="latency">
      <h3 id="latency">Times</h3>
      <Chart
        label="Times to the first token and between tokens over two minutes; the numbers of now stand below"
        lines={times}
        samples={samples}
        show={showTime}
        logarithmic
      />
    </section>
  </div>
);
