/**
 * The block that Llama made common, with the parts that its descendants exchange: attention with named
 * projections, the gated MLP, and experts made of such. Architecture files compose these; nothing here reads a config.
 */
import {
  type AttentionParts,
  attention,
  type Block,
  experts,
  gatedMlp,
  type Layer,
  linearLayer,
  type Weights,
} from "../nn/index.ts";
import type { ActivationName } from "../ops/index.ts";
import type { Dimensions } from "./common.ts";

export type AttentionOptions = Omit<AttentionParts, "heads" | "kvHeads" | "headDim" | "q" | "k" | "v" | "o">;

/** Attention with `q_proj`, `k_proj`, `v_proj`, `o_proj` under `model.layers.N.self_attn`. */
export function projectedAttention(w: Weights, c: Dimensions, options: AttentionOptions): Block {
  const at = `model.layers.${options.layer}.self_attn`;
  const { hidden, heads, kvHeads, headDim } = c;
  return attention({
    ...options,
    ...{ heads, kvHeads, headDim },
    q: linearLayer(w, `${at}.q_proj`, heads * headDim, hidden),
    k: linearLayer(w, `${at}.k_proj`, kvHeads * headDim, hidden),
    v: linearLayer(w, `${at}.v_proj`, kvHeads * headDim, hidden),
    o: linearLayer(w, `${at}.o_proj`, hidden, heads * headDim),
  });
}

/** Gated MLP with `gate_proj`, `up_proj`, `down_proj` under the given name. */
export function projectedMlp(
  w: Weights,
  name: string,
  hidden: number,
  width: number,
  fn: ActivationName,
): Layer {
  return gatedMlp(
    linearLayer(w, `${name}.gate_proj`, width, hidden),
    linearLayer(w, `${name}.up_proj`, width, hidden),
    linearLayer(w, `${name}.down_proj`, hidden, width),
    fn,
  );
}

/** Routed experts: the router `gate`, and gated MLPs of the given width under `experts.N`. */
export function projectedExperts(
  w: Weights,
  name: string,
  c: { hidden: number; experts: number; picks: number; normalize: boolean; fn: ActivationName },
  width: number,
): Layer {
  const { experts: e, hidden, picks, normalize, fn } = c;
  return experts({
    router: linearLayer(w, `${name}.gate`, e, hidden),
    gate: w.experts(`${name}.experts.*.gate_proj.weight`, [e, width, hidden]),
    up: w.experts(`${name}.experts.*.up_proj.weight`, [e, width, hidden]),
    down: w.experts(`${name}.experts.*.down_proj.weight`, [e, hidden, width]),
    ...{ picks, normalize, fn },
  });
}
