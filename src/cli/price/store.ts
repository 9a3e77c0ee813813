/** Profiles that were taken, by what they are of: another model, machine or Fovea has another. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { FoveaError } from "../../base/errors.ts";
import { version } from "../../base/version.ts";
import type { LanguageModel } from "../../tasks/types.ts";
import { machine } from "../measure.ts";
import type { Profile } from "./profile.ts";

/** All that a time depends on. */
export interface ProfileKey {
  readonly model: string;
  readonly parameters: number;
  readonly formats: Readonly<Record<string, number>>;
  /** Instruction set and threads. */
  readonly device: string;
  readonly precision: string;
  readonly cpu: string;
  readonly fovea: string;
}

export interface StoredProfile {
  readonly key: ProfileKey;
  /** ISO 8601 */
  readonly taken: string;
  readonly profile: Profile;
}

export function keyOf(model: LanguageModel): ProfileKey {
  const { parameters, formats, device, precision } = model.describe();
  return { model: model.name, parameters, formats, device, precision, cpu: machine().cpu, fovea: version() };
}

const folder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "fovea", "profiles");

const fileOf = (key: ProfileKey): string =>
  join(folder(), `${createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 24)}.json`);

/** @returns the file */
export function saveProfile(key: ProfileKey, profile: Profile): string {
  const path = fileOf(key);
  mkdirSync(folder(), { recursive: true });
  const stored: StoredProfile = { key, taken: new Date().toISOString(), profile };
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(stored));
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

/** @throws FoveaError when none was taken of this model on this machine with this Fovea, or it is broken */
export function loadProfile(key: ProfileKey): StoredProfile {
  const path = fileOf(key);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    throw new FoveaError(
      `there is no profile of ${key.model} on ${key.device} with Fovea ${key.fovea}; take one with fovea bench --profile and the same --model, --device, --threads and --precision`,
    );
  }
  try {
    const stored = JSON.parse(text) as StoredProfile;
    if (JSON.stringify(stored.key) === JSON.stringify(key) && stored.profile.model.firstToken.length > 1)
      return stored;
  } catch {}
  throw new FoveaError(`${path} is broken; take the profile again with fovea bench --profile`);
}
