/**
 * The Hugging Face cache on disk: where it lies, and how ids, revisions and blobs are named in it.
 * Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";

/** A model on the hub: `ORG/NAME`, or `NAME` alone for the oldest ones, with a branch, tag or commit. */
export interface HubId {
  readonly name: string;
  /** "main" unless given. */
  readonly revision: string;
}

const part = "[A-Za-z0-9_][A-Za-z0-9_.-]*";
const idPattern = new RegExp(`^(${part}(?:/${part})?)(?:@(${part}(?:/${part})*))?$`);
const commitPattern = /^[0-9a-f]{40}$/;

/** Parses `ORG/NAME[@revision]`; undefined for a text of another form. */
export function parseHubId(text: string): HubId | undefined {
  const match = idPattern.exec(text);
  // The hub forbids these too; the cache writes "/" as "--".
  if (match === null || /--|\.\./.test(text)) return undefined;
  return { name: match[1] as string, revision: match[2] ?? "main" };
}

/** The folder of the cache, by the variables that the Hugging Face tools read. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  return env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE ?? join(home, "hub");
}

export const modelFolder = (cache: string, id: HubId): string =>
  join(cache, `models--${id.name.replace("/", "--")}`);

export const isCommit = (revision: string): boolean => commitPattern.test(revision);

/** Folder of the snapshot that the revision means, or undefined when it is not in the cache. */
export function snapshotFolder(cache: string, id: HubId): string | undefined {
  const folder = modelFolder(cache, id);
  let commit = id.revision;
  if (!isCommit(commit)) {
    const ref = join(folder, "refs", ...commit.split("/"));
    if (!statSync(ref, { throwIfNoEntry: false })?.isFile()) return undefined;
    commit = readFileSync(ref, "utf8").trim();
    if (!isCommit(commit)) throw new CheckpointError(ref, "does not hold a commit; delete it and pull again");
  }
  const snapshot = join(folder, "snapshots", commit);
  return existsSync(snapshot) ? snapshot : undefined;
}
