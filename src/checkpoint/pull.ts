/**
 * Downloads a model from the Hugging Face hub into the standard cache: the files that are needed, resumable,
 * verified. Knows the hub and the cache's layout; must not know what the files mean, save which shards an
 * index names.
 */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { CheckpointError, FoveaError, ParameterError } from "../base/errors.ts";
import { type BlobSource, downloadBlob } from "./download.ts";
import { cacheFolder, type HubId, isCommit, modelFolder, parseHubId } from "./hub-cache.ts";
import {
  type CheckpointFiles,
  ggufChoices,
  indexName,
  locate,
  singleName,
  splitNames,
  tokenizerNames,
} from "./locate.ts";
import { shardNames } from "./safetensors.ts";
import { parseJsonObject } from "./text.ts";

export interface PullProgress {
  readonly file: string;
  /** Bytes of all wanted files, and how many of them are here. */
  readonly total: number;
  readonly done: number;
}

export interface PullOptions {
  /** Which .gguf to take from a model that has several; any part of a split one. */
  readonly file?: string;
  readonly cache?: string;
  /** Called for every piece that arrives. */
  readonly onProgress?: (progress: PullProgress) => void;
  /** An abort keeps what has arrived; the next pull goes on from there. */
  readonly signal?: AbortSignal;
}

/** A file on the hub. */
interface RemoteFile {
  readonly name: string;
  readonly size: number;
  /** Name of its blob: the sha256 of a large file, the git hash of a small one. */
  readonly oid: string;
}

const smallNames = ["config.json", "generation_config.json", "preprocessor_config.json", ...tokenizerNames];

/** Downloads `ORG/NAME[@revision]` and returns its files. What is in the cache already is not fetched again. */
export async function pull(what: string, options: PullOptions = {}): Promise<CheckpointFiles> {
  const id = parseHubId(what);
  if (id === undefined)
    throw new ParameterError("model", `${JSON.stringify(what)} is no id of the form ORG/NAME[@revision]`);
  const hub = await connect(id, options.signal);
  const { commit, files } = await hub.list();
  const folder = modelFolder(options.cache ?? cacheFolder(), id);
  const snapshot = join(folder, "snapshots", commit);

  const wanted = smallNames.flatMap((name) => files.get(name) ?? []);
  const weights = chooseWeights(what, files, options.file);
  wanted.push(...weights);
  let done = 0;
  const fetchOne = async (file: RemoteFile) => {
    const total = wanted.reduce((sum, { size }) => sum + size, 0);
    const report = (bytes: number) => options.onProgress?.({ file: file.name, total, done: done + bytes });
    await store(hub, file, folder, snapshot, report, options.signal);
    done += file.size;
  };
  for (let next = 0; next < wanted.length; next++) {
    const file = wanted[next] as RemoteFile;
    await fetchOne(file);
    if (file.name === indexName) wanted.push(...(await shards(join(snapshot, indexName), files)));
  }

  if (!isCommit(id.revision)) await writeRef(join(folder, "refs", ...id.revision.split("/")), commit);
  const first = weights[0] as RemoteFile;
  return locate(first.name.endsWith(".gguf") ? join(snapshot, first.name) : snapshot);
}

/** The single file, or the index (whose shards follow), or one GGUF with all its parts. */
function chooseWeights(
  what: string,
  files: ReadonlyMap<string, RemoteFile>,
  chosen: string | undefined,
): RemoteFile[] {
  const choices = ggufChoices([...files.keys()]);
  if (chosen === undefined) {
    const weights = files.get(singleName) ?? files.get(indexName);
    if (weights !== undefined) return [weights];
    if (choices.length > 1)
      throw new ParameterError("file", `${what} has several GGUF files; choose one of ${choices.join(", ")}`);
  }
  const name = chosen ?? choices[0];
  if (name === undefined)
    throw new CheckpointError(what, `holds no ${singleName}, no ${indexName} and no .gguf file`);
  return splitNames(name).map(
    (part) =>
      files.get(part) ??
      (() => {
        throw new ParameterError(
          "file",
          `${what} has no ${part}; it has ${choices.join(", ") || "no .gguf"}`,
        );
      })(),
  );
}

async function shards(index: string, files: ReadonlyMap<string, RemoteFile>): Promise<RemoteFile[]> {
  return shardNames(index, parseJsonObject(index, await readFile(index))).map((name) => {
    const file = files.get(name);
    if (file === undefined) throw new CheckpointError(index, `names ${name}, which the hub does not have`);
    return file;
  });
}

/** Brings one file into the cache: its blob, and its name in the snapshot as a link to it. */
async function store(
  hub: Hub,
  file: RemoteFile,
  folder: string,
  snapshot: string,
  report: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const blob = join(folder, "blobs", file.oid);
  if (!existsSync(blob)) {
    await mkdir(dirname(blob), { recursive: true });
    await downloadBlob({ ...file, path: blob, open: () => hub.open(file.name) }, report, signal);
  }
  report(file.size);
  const link = join(snapshot, file.name);
  if (existsSync(link)) return;
  await mkdir(snapshot, { recursive: true });
  await rm(link, { force: true });
  try {
    await symlink(relative(snapshot, blob), link);
  } catch {
    // Systems that reserve symbolic links for administrators.
    await copyFile(blob, link);
  }
}

async function writeRef(path: string, commit: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.tmp`, commit);
  await rename(`${path}.tmp`, path);
}

interface Hub {
  list(): Promise<{ commit: string; files: Map<string, RemoteFile> }>;
  open(name: string): Promise<BlobSource>;
}

/** The hub's client, loaded on first use, at HF_ENDPOINT with HF_TOKEN. */
async function connect(id: HubId, signal: AbortSignal | undefined): Promise<Hub> {
  const client = await import("@huggingface/hub");
  const hubUrl = (process.env.HF_ENDPOINT || client.HUB_URL).replace(/\/+$/, "");
  const token = process.env.HF_TOKEN;
  if (token && !token.startsWith("hf_"))
    throw new ParameterError("HF_TOKEN", "is no access token: those of the hub begin with hf_");
  const common = {
    hubUrl,
    fetch: (url: Parameters<typeof fetch>[0], init?: RequestInit) =>
      fetch(url, { ...init, ...(signal && { signal }) }),
    ...(token ? { accessToken: token } : {}),
  };
  const { name, revision } = id;
  const repo = { type: "model", name } as const;
  let commit = revision;

  return {
    list: () =>
      explained(id, hubUrl, signal, async () => {
        if (!isCommit(revision)) {
          const info = await client.modelInfo({ ...common, name, revision, additionalFields: ["sha"] });
          commit = info.sha;
        }
        if (!isCommit(commit)) throw new CheckpointError(name, `${hubUrl} names no commit for ${revision}`);
        const files = new Map<string, RemoteFile>();
        for await (const entry of client.listFiles({ ...common, repo, revision: commit })) {
          const oid = (entry.lfs?.oid ?? entry.oid ?? "").replace(/^sha256:/, "");
          // Only plain names of the top folder are ever joined to a path.
          if (entry.type !== "file" || !/^[^./\\\0][^/\\\0]*$/.test(entry.path)) continue;
          if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(oid)) continue;
          files.set(entry.path, { name: entry.path, size: entry.lfs?.size ?? entry.size, oid });
        }
        return { commit, files };
      }),
    open: (path) =>
      explained(id, hubUrl, signal, async () => {
        const blob = await client.downloadFile({ ...common, repo, path, revision: commit });
        if (blob === null) throw new CheckpointError(`${name}/${path}`, `is not at ${hubUrl}`);
        return blob;
      }),
  };
}

/** Runs a request and says of its failure what the user can do. */
async function explained<T>(
  id: HubId,
  hubUrl: string,
  signal: AbortSignal | undefined,
  request: () => Promise<T>,
): Promise<T> {
  try {
    return await request();
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof FoveaError) throw error;
    const { statusCode, message, cause } = error as Error & { statusCode?: number };
    const problem =
      statusCode === 401 || statusCode === 403
        ? "does not exist or may not be read: check the name; for a private or gated model accept its terms at the hub and set HF_TOKEN"
        : statusCode === 404
          ? `${hubUrl} has no such model or no revision ${id.revision}`
          : `${hubUrl} cannot be reached or answers wrongly: ${message}${cause instanceof Error ? ` (${cause.message})` : ""}`;
    throw new CheckpointError(id.name, problem, { cause: error });
  }
}
