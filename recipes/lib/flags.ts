/** The flags of a recipe: numbers, texts and switches with their defaults, by name. */
import { parseArgs } from "node:util";
import { ParameterError } from "fovea";

type Value = number | string | boolean;
/** Widens `64` to number: what a default says is a kind, not the only value. */
type Wide<T> = { [K in keyof T]: T[K] extends number ? number : T[K] extends boolean ? boolean : string };

/** `someName` as it is given: `--some-name`. */
export const flagName = (key: string): string => `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/** `--help` was asked for; the message is what it prints. */
export class HelpAsked extends Error {
  override name = "HelpAsked";
}

const helpOf = (defaults: Readonly<Record<string, Value>>): string =>
  [
    "Flags, with their defaults; recipes/README.md says more:",
    ...Object.entries(defaults).map(([key, value]) => {
      // A switch is off, a text is up to the recipe, and a limit so large is none.
      const none = typeof value === "number" ? value >= Number.MAX_SAFE_INTEGER : !value;
      return `  ${flagName(key)}${typeof value === "boolean" || none ? "" : ` ${value}`}`;
    }),
    "  --smoke  a tiny model in seconds, to try the recipe",
  ].join("\n");

/**
 * Reads `--some-name 3`, `--name text` and `--switch` over defaults; `--smoke` puts `smoke` over these first. Anything
 * else is refused by name.
 *
 * @throws HelpAsked for `--help`
 */
export function flagsOf<T extends Readonly<Record<string, Value>>>(
  args: readonly string[],
  defaults: T,
  smoke: Partial<Wide<T>>,
): Wide<T> & { smoke: boolean } {
  const names = new Map(Object.keys(defaults).map((key) => [flagName(key).slice(2), key]));
  const kinds = Object.fromEntries(
    [...names].map(([name, key]) => [
      name,
      { type: typeof defaults[key] === "boolean" ? ("boolean" as const) : ("string" as const) },
    ]),
  );
  if (args.includes("--help") || args.includes("-h")) throw new HelpAsked(helpOf(defaults));
  const parsed = told(() =>
    parseArgs({ args: [...args], options: { ...kinds, smoke: { type: "boolean" } } }),
  );
  const values: Readonly<Record<string, string | boolean | undefined>> = parsed.values;
  const chosen: Record<string, Value> = {
    ...defaults,
    ...(values.smoke ? (smoke as Record<string, Value>) : {}),
  };
  for (const [name, key] of names) {
    const given = values[name];
    if (given === undefined) continue;
    const number = Number(given);
    if (typeof defaults[key] === "number" && (given === "" || Number.isNaN(number)))
      throw new ParameterError(`--${name}`, `must be a number, not "${String(given)}"`);
    chosen[key] = typeof defaults[key] === "number" ? number : (given as Value);
  }
  return { ...(chosen as Wide<T>), smoke: values.smoke === true };
}

/** What Node refuses, with a way on. */
function told<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new TypeError(`${(error as Error).message}; --help lists the flags`, { cause: error });
  }
}
