/** The engine room: what the engine does, as it does it. */
import { FailureBox } from "../parts/failure-box.tsx";
import { BlockView } from "./block-view.tsx";
import { Charts } from "./charts.tsx";
import { DemoBar } from "./demo-bar.tsx";
import { LaneView } from "./lane-view.tsx";
import { SequenceTable } from "./sequence-table.tsx";
import { Tiles } from "./tiles.tsx";
import { useWatch } from "./watch.ts";
import { describeCache, describeSequences } from "./words.ts";
import "./room.css";

export function Room() {
  const { history, paused, failure, pause, retry } = useWatch();
  const { now, blocks, samples } = history;
  const sequences = now ? describeSequences(now) : "";
  const cache = now ? describeCache(now.stats) : "";
  return (
    <main class="room" tabIndex={-1}>
      <div class="wide">
        <div class="head">
          <h2>Engine room</h2>
          <button type="button" class="button" aria-pressed={paused} onClick={pause}>
            {paused ? "Resume" : "Pause"}
          </button>
        </div>
        <DemoBar />
        {failure && <FailureBox failure={failure} onRetry={retry} />}
        <Tiles history={history} />
        <section aria-labelledby="lanes">
          <h3 id="lanes">Sequences</h3>
          <LaneView history={history} moving={!paused} label={`Sequences over half a minute. ${sequences}`} />
          <p class="quiet">{sequences}</p>
          <details>
            <summary>As a table</summary>
            <SequenceTable sequences={now?.sequences ?? []} />
          </details>
        </section>
        <Charts samples={samples} />
        <section aria-labelledby="cache">
          <h3 id="cache">Cache</h3>
          {now && <BlockView blocks={blocks} counts={now.stats.blocks} label={cache} />}
          <p class="quiet">
            {cache} {now && `A block holds ${now.limits.block} tokens.`}
          </p>
        </section>
      </div>
    </main>
  );
}
