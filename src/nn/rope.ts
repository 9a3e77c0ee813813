/**
 * Rotary position encoding and its scalings: positions to angles, on the host, once for each step. The
 * rotation itself is the `rope` op. Frequencies and angles are rounded to f32 where Hugging Face does, so that
 * long positions agree with the code the models were trained with.
 */
import type { Fields } from "../checkpoint/config.ts";
import type { RopeStyle } from "../ops/index.ts";

export interface RopeOptions {
  /** Elements of a head that are rotated; even. */
  readonly dim: number;
  /** Base of the frequencies θ^(−2i/dim). */
  readonly theta: number;
  readonly style?: RopeStyle;
  readonly scaling?: RopeScaling | undefined;
  /** Positions that the model was made for: `max_position_embeddings`. */
  readonly maxPositions: number;
}

/** How frequencies are stretched for texts longer than those of pre-training. */
export type RopeScaling =
  /** All positions divided by the factor (Chen et al. 2023). */
  | { readonly type: "linear"; readonly factor: number }
  /** The base grows with the length of the text ("dynamic NTK"). */
  | { readonly type: "dynamic"; readonly factor: number }
  /** High frequencies kept, low ones interpolated, a ramp between (Peng et al. 2023, section 3). */
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly original: number;
      readonly attention?: number | undefined;
      readonly betaFast: number;
      readonly betaSlow: number;
    }
  /** The same idea with two wavelengths as limits (Llama 3.1). */
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly original: number;
      readonly low: number;
      readonly high: number;
    }
  /** A factor for each frequency: one list for short texts, one for long (Ding et al. 2024). */
  | {
      readonly type: "longrope";
      readonly original: number;
      readonly short: readonly number[];
      readonly long: readonly number[];
      readonly attention: number;
    }
  /** Frequencies divided by a given factor each, as GGUF files store them. */
  | { readonly type: "factors"; readonly factors: ArrayLike<number> };

export class Rope {
  readonly style: RopeStyle;
  /** Rotated pairs in a head. */
  readonly pairs: number;
  private readonly options: RopeOptions;
  /** Frequencies by the length of text that they are for; one entry unless the scaling looks at it. */
  private readonly known = new Map<number, { frequencies: Float32Array; factor: number }>();

  constructor(options: RopeOptions) {
    this.options = options;
    this.style = options.style ?? "half";
    this.pairs = options.dim / 2;
  }

  /** cos and sin, each [n, pairs], for n positions in texts of the given lengths; in given arrays or new ones. */
  table(
    positions: Int32Array,
    lengths: Int32Array,
    cos: Float32Array = new Float32Array(positions.length * this.pairs),
    sin: Float32Array = new Float32Array(positions.length * this.pairs),
  ): { cos: Float32Array; sin: Float32Array } {
    const { pairs } = this;
    for (let i = 0, at = 0; i < positions.length; i++) {
      const { frequencies, factor } = this.frequenciesFor(lengths[i]!);
      for (let j = 0; j < pairs; j++, at++) {
        const angle = Math.fround(positions[i]! * frequencies[j]!);
        cos[at] = factor * Math.fround(Math.cos(angle));
        sin[at] = factor * Math.fround(Math.sin(angle));
      }
    }
    return { cos, sin };
  }

  /** Texts whose lengths have the same key have the same angles at all positions. */
  lengthKey(length: number): number {
    const { scaling, maxPositions } = this.options;
    if (scaling?.type === "dynamic") return Math.max(length, maxPositions);
    return scaling?.type === "longrope" ? Number(length > scaling.original) : 0;
  }

  private frequenciesFor(length: number): { frequencies: Float32Array; factor: number } {
    const key = this.lengthKey(length);
    let result = this.known.get(key);
    if (result === undefined) {
      // A dynamic base has a set of frequencies for each length; only recent ones are worth keeping.
      if (this.known.size > 64) this.known.clear();
      result = frequencies(this.options, key);
      this.known.set(key, result);
    }
    return result;
  }
}

function frequencies(
  { dim, theta, scaling, maxPositions }: RopeOptions,
  key: number,
): {
  frequencies: Float32Array;
  factor: number;
} {
  const plain = (base: number): Float32Array =>
    Float32Array.from({ length: dim / 2 }, (_, i) => 1 / Math.fround(base ** ((2 * i) / dim)));
  const divided = (by: (i: number) => number): Float32Array =>
    Float32Array.from(
      { length: dim / 2 },
      (_, i) => 1 / (Math.fround(by(i)) * Math.fround(theta ** ((2 * i) / dim))),
    );
  switch (scaling?.type) {
    case undefined:
      return { frequencies: plain(theta), factor: 1 };
    case "linear":
      return { frequencies: plain(theta).map((f) => f / scaling.factor), factor: 1 };
    case "dynamic": {
      const stretch = (scaling.factor * key) / maxPositions - (scaling.factor - 1);
      return { frequencies: plain(theta * stretch ** (dim / (dim - 2))), factor: 1 };
    }
    case "yarn":
      return yarn(plain(theta), dim, theta, scaling);
    case "llama3":
      return { frequencies: plain(theta).map((f) => llama3(f, scaling)), factor: 1 };
    case "longrope": {
      const list = key === 1 ? scaling.long : scaling.short;
      return { frequencies: divided((i) => list[i]!), factor: scaling.attention };
    }
    case "factors":
      return { frequencies: plain(theta).map((f, i) => f / scaling.factors[i]!), factor: 1 };
  }
}

function yarn(
  plain: Float32Array,
  dim: number,
  theta: number,
  { factor, original, attention, betaFast, betaSlow }: Extract<RopeScaling, { type: "yarn" }>,
): { frequencies: Float32Array; factor: number } {
  const dimensionOf = (rotations: number): number =>
    (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(Math.floor(dimensionOf(betaFast)), 0);
  let high = Math.min(Math.ceil(dimensionOf(betaSlow)), dim - 1);
  if (low === high) high += 0.001;
  const frequencies = plain.map((f, i) => {
    const ramp = Math.min(Math.max((i - low) / (high - low), 0), 1);
    return (f / factor) * ramp + f * (1 - ramp);
  });
  return { frequencies, factor: attention ?? 0.1 * Math.log(factor) + 1 };
}

/** What each of the dim / 2 frequencies is divided by: the scaling of Llama 3.1 as GGUF files store it. */
export function ropeDivisors(
  scaling: Extract<RopeScaling, { type: "llama3" }>,
  dim: number,
  theta: number,
): Float32Array {
  return Float32Array.from({ length: dim / 2 }, (_, i) => {
    const f = 1 / theta ** ((2 * i) / dim);
    return f / llama3(f, scaling);
  });
}

function llama3(
  f: number,
  { factor, original, low, high }: Extract<RopeScaling, { type: "llama3" }>,
): number {
  const wavelength = (2 * Math.PI) / f;
  if (wavelength > original / low) return f / factor;
  if (wavelength < original / high) return f;
  const smooth = (original / wavelength - low) / (high - low);
  return ((1 - smooth) * f) / factor + smooth * f;
}

/** The kinds of layers that a config.json tells apart. */
export type LayerKind = "full_attention" | "sliding_attention";

/**
 * What a config.json says of the encoding: `rope_scaling`, or in newer files `rope_parameters`, which may have
 * an entry for each kind of layer. Without such entries, layers with a window are spoken of nowhere.
 */
export function ropeParameters(config: Fields, kind: LayerKind = "full_attention"): Fields | undefined {
  const newer = config.object("rope_parameters");
  const ofKind = newer?.object(kind);
  if (ofKind !== undefined || kind === "sliding_attention") return ofKind;
  return newer ?? config.object("rope_scaling");
}

/** The scaling that those parameters ask for, undefined when none. An unknown type is refused. */
export function ropeScaling(
  config: Fields,
  fields: Fields | undefined,
  maxPositions: number,
): RopeScaling | undefined {
  if (fields === undefined) return undefined;
  const types = ["default", "linear", "dynamic", "yarn", "llama3", "longrope", "su", "mrope"] as const;
  const type = fields.oneOf(fields.has("rope_type") ? "rope_type" : "type", types, { default: "default" });
  const factor = (): number => fields.number("factor", { min: 1 });
  switch (type) {
    case "default":
    case "mrope": // text alone has equal positions in all three axes: the plain encoding
      return undefined;
    case "linear":
      return { type, factor: factor() };
    case "dynamic":
      return { type, factor: factor() };
    case "yarn":
      return {
        type,
        factor: factor(),
        original: fields.number("original_max_position_embeddings", { default: maxPositions, min: 1 }),
        attention: fields.has("attention_factor") ? fields.number("attention_factor") : undefined,
        betaFast: fields.number("beta_fast", { default: 32 }),
        betaSlow: fields.number("beta_slow", { default: 1 }),
      };
    case "llama3":
      return {
        type,
        factor: factor(),
        original: fields.number("original_max_position_embeddings", { min: 1 }),
        low: fields.number("low_freq_factor"),
        high: fields.number("high_freq_factor"),
      };
    case "longrope":
    case "su":
      return longrope(config, fields, maxPositions);
  }
}

function longrope(config: Fields, fields: Fields, maxPositions: number): RopeScaling {
  const once = chosenOnce(config);
  const name = "original_max_position_embeddings";
  const holder = config.has(name) || once ? config : fields;
  const original = holder.number(name, { default: maxPositions, min: 1 });
  const ratio = maxPositions / original;
  const stretch = config.has(name) ? ratio : fields.number("factor", { default: ratio });
  const byLength = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
  const [short, long] = [fields.numbers("short_factor"), fields.numbers("long_factor")];
  return {
    type: "longrope",
    original,
    short: once && stretch > 1 ? long : short,
    long: once && stretch <= 1 ? short : long,
    attention: fields.number("attention_factor", { default: byLength }),
  };
}

/**
 * Transformers 4.48 and before chose between the lists once, by the stretch and for texts of all lengths, and
 * looked for the original length beside `rope_scaling` only; not so in Phi 3. A model was made by the code
 * that wrote its config.
 */
function chosenOnce(config: Fields): boolean {
  const [major = 0, minor = 0] = config
    .string("transformers_version", { default: "5" })
    .split(".")
    .map(Number);
  return (
    (major < 4 || (major === 4 && minor <= 48)) && config.string("model_type", { default: "" }) !== "phi3"
  );
}
