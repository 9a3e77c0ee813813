/** The numbers of the moment. */
import type { History } from "./history.ts";
import { showCount, showRate, showShare, showTime, usedShare } from "./words.ts";

interface TileProps {
  readonly name: string;
  readonly value: string;
  readonly more?: string;
}

const Tile = ({ name, value, more }: TileProps) => (
  <div>
    <dt>{name}</dt>
    <dd>
      {value}
      {more !== undefined && <small>{more}</small>}
    </dd>
  </div>
);

export function Tiles({ history: { now, samples } }: { readonly history: History }) {
  const last = samples.at(-1);
  const stats = now?.stats;
  return (
    <dl class="tiles">
      <Tile
        name="Running"
        value={stats ? showCount(stats.running) : "–"}
        more={now ? `of ${now.limits.sequences}` : ""}
      />
      <Tile
        name="Waiting"
        value={stats ? showCount(stats.waiting) : "–"}
        more={stats ? `${showCount(stats.preemptions)} preemptions` : ""}
      />
      <Tile
        name="Cache in use"
        value={stats ? usedShare(stats) : "–"}
        more={stats ? `of ${showCount(stats.blocks.capacity)} blocks` : ""}
      />
      <Tile
        name="Found in cache"
        value={stats ? showShare(stats.cachedTokens, stats.promptTokens) : "–"}
        more={stats ? `of ${showCount(stats.promptTokens)} tokens` : ""}
      />
      <Tile name="Prompts" value={last ? showRate(last.prefill) : "–"} more="tokens/s" />
      <Tile name="Generated" value={last ? showRate(last.generated) : "–"} more="tokens/s" />
      <Tile
        name="First token"
        value={showTime(last?.first.p50)}
        more={`95 of 100: ${showTime(last?.first.p95)}`}
      />
      <Tile
        name="Between tokens"
        value={showTime(last?.between.p50)}
        more={`95 of 100: ${showTime(last?.between.p95)}`}
      />
    </dl>
  );
}
