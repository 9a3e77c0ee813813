/** What can be set for a conversation: names, ranges and meanings, as data; and the fields of a request. Pure. */

export interface Settings {
  readonly system?: string;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly maxTokens?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
}

type NumberKey = Exclude<keyof Settings, "system" | "stop">;

export interface NumberControl {
  readonly key: NumberKey;
  readonly field: string;
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** What the server does when nothing is sent: a value, or in words. */
  readonly standard: number | string;
  readonly help: string;
}

const real = (
  key: NumberKey,
  field: string,
  label: string,
  [min, max, step]: readonly [number, number, number],
  standard: number | string,
  help: string,
): NumberControl => ({ key, field, label, min, max, step, standard, help });

export const numbers: readonly NumberControl[] = [
  real(
    "temperature",
    "temperature",
    "Temperature",
    [0, 2, 0.05],
    1,
    "0 always takes the likeliest token; more is more varied.",
  ),
  real(
    "topP",
    "top_p",
    "Top-p",
    [0, 1, 0.01],
    1,
    "Keeps the likeliest tokens that together have this probability.",
  ),
  real("topK", "top_k", "Top-k", [0, 200, 1], 0, "Keeps this many of the likeliest tokens; 0 keeps all."),
  real(
    "minP",
    "min_p",
    "Min-p",
    [0, 1, 0.01],
    0,
    "Drops tokens that are less likely than this share of the likeliest one.",
  ),
  real(
    "repetitionPenalty",
    "repetition_penalty",
    "Repetition penalty",
    [0.5, 2, 0.01],
    1,
    "Above 1, tokens that stand in the text already become less likely; 1 is off.",
  ),
  real(
    "presencePenalty",
    "presence_penalty",
    "Presence penalty",
    [-2, 2, 0.05],
    0,
    "Lowers every token that was written already, once.",
  ),
  real(
    "frequencyPenalty",
    "frequency_penalty",
    "Frequency penalty",
    [-2, 2, 0.05],
    0,
    "Lowers a token each time that it was written.",
  ),
];

/** Whole numbers without a slider. */
export const seed = real(
  "seed",
  "seed",
  "Seed",
  [0, Number.MAX_SAFE_INTEGER, 1],
  "a new one each time",
  "The same seed, text and settings give the same answer.",
);
export const maxTokens = real(
  "maxTokens",
  "max_tokens",
  "Length",
  [1, 1_000_000, 1],
  "200, or what fits",
  "Tokens to write at most; a token is about three quarters of a word.",
);

/** What a continuation takes when nothing is said; the server's own 16 tokens are hardly a sentence. */
const continued = 200;
/** What a new conversation begins with. In texts small models ramble at the server's temperature of 1. */
export const startOf = (kind: "chat" | "text"): Settings =>
  kind === "text" ? { temperature: 0.8, topP: 0.95 } : {};

/** The fields that were set, by the names of the API. */
export function fieldsOf(settings: Settings, kind: "chat" | "text"): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const { key, field } of [...numbers, seed])
    if (settings[key] !== undefined) fields[field] = settings[key];
  if (settings.stop !== undefined && settings.stop.length > 0) fields.stop = settings.stop;
  const wanted = settings.maxTokens ?? (kind === "text" ? continued : undefined);
  if (wanted !== undefined) fields[kind === "chat" ? "max_completion_tokens" : "max_tokens"] = wanted;
  return fields;
}

/** How many settings are not as a new conversation has them. */
export function countOf(settings: Settings, kind: "chat" | "text"): number {
  const start = startOf(kind);
  const keys = new Set([...Object.keys(settings), ...Object.keys(start)]) as Set<keyof Settings>;
  return [...keys].filter((key) => settings[key] !== start[key]).length;
}

/** With a setting changed, or taken away. */
export function withSetting<K extends keyof Settings>(
  settings: Settings,
  key: K,
  value: Settings[K] | undefined,
): Settings {
  const { [key]: _, ...rest } = settings;
  return value === undefined ? (rest as Settings) : { ...rest, [key]: value };
}

/** Stop texts are written one on a line, with `\n` and `\t` for what a line cannot hold. */
export const parseStops = (text: string): readonly string[] | undefined => {
  const stops = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/\\([nt\\])/g, (_, c: string) => ({ n: "\n", t: "\t" })[c] ?? "\\"));
  return stops.length > 0 ? stops : undefined;
};

export const writeStops = (stops: readonly string[] = []): string =>
  stops
    .map((stop) => stop.replace(/[\\\n\t]/g, (c) => ({ "\n": "\\n", "\t": "\\t" })[c] ?? "\\\\"))
    .join("\n");
