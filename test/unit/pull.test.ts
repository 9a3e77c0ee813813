/** Downloads from a hub on the loopback interface into the cache's layout. */
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CheckpointError, ParameterError } from "../../src/base/errors.ts";
import { locate } from "../../src/checkpoint/locate.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { type PullProgress, pull } from "../../src/checkpoint/pull.ts";
import { rawSafetensors, safetensorsFile } from "../support/checkpoints.ts";
import { type HubFile, HubServer } from "../support/hub-server.ts";
import { temporaryFolder } from "../support/temporary.ts";

const root = temporaryFolder();
const model = "org/model";
const small = (text: string): HubFile => ({ content: Buffer.from(text) });
const large = (content: Uint8Array): HubFile => ({ content: Buffer.from(content), large: true });

const weights = safetensorsFile([{ name: "w", shape: [100_000], dtype: "F32" }]).bytes;
const single = {
  ".gitattributes": small("*"),
  "README.md": small("# no"),
  "config.json": small('{"model_type":"llama"}'),
  "model.safetensors": large(weights),
  "pytorch_model.bin": large(Buffer.from("no")),
  "tokenizer.json": small("{}"),
  "model-q4.gguf": large(Buffer.from("no")),
};
const shard = (name: string) =>
  large(rawSafetensors(`{"${name}":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4));
const sharded = {
  "config.json": small("{}"),
  "model.safetensors.index.json": small('{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}'),
  "m-1.safetensors": shard("a"),
  "m-2.safetensors": shard("b"),
  "other.safetensors": shard("c"),
};

let server: HubServer | undefined;
let cache = "";
const serve = async (files: Readonly<Record<string, HubFile>>): Promise<HubServer> => {
  server = new HubServer(model, files);
  vi.stubEnv("HF_ENDPOINT", await server.listen());
  return server;
};
const blob = (oid: string): string => join(cache, "models--org--model", "blobs", oid);

beforeEach(() => {
  cache = mkdtempSync(join(root, "cache-"));
  vi.stubEnv("HF_TOKEN", "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server?.close();
  server = undefined;
});

describe("pull", () => {
  it("brings what is needed into the layout of the Hugging Face cache, and nothing twice", async () => {
    const hub = await serve(single);
    const progress: PullProgress[] = [];
    const files = await pull(model, { cache, onProgress: (p) => progress.push(p) });
    const base = join(cache, "models--org--model");
    const snapshot = join(base, "snapshots", hub.commit);
    expect(files.folder).toBe(snapshot);
    expect(readdirSync(snapshot).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    expect(readFileSync(join(base, "refs", "main"), "utf8")).toBe(hub.commit);
    const link = join(snapshot, "model.safetensors");
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readlinkSync(link)).toBe(join("..", "..", "blobs", hub.oid("model.safetensors")));
    expect(readFileSync(link).equals(weights)).toBe(true);
    expect(readdirSync(join(base, "blobs")).length).toBe(3);
    expect(openCheckpoint(locate(model, cache)).tensors.size).toBe(1);
    const last = progress.at(-1) as PullProgress;
    expect(last.done).toBe(last.total);
    for (const [i, p] of progress.entries())
      expect(p.done).toBeGreaterThanOrEqual(progress[i - 1]?.done ?? 0);

    const before = hub.requests.length;
    await pull(model, { cache });
    expect(hub.requests.slice(before).filter((r) => r.includes("/resolve/"))).toEqual([]);
  });

  it("goes on after a broken connection from where it broke", async () => {
    const hub = await serve(single);
    hub.breakAfter = 100_000;
    await expect(pull(model, { cache })).rejects.toThrow(/model\.safetensors: the connection broke/);
    const incomplete = `${blob(hub.oid("model.safetensors"))}.incomplete`;
    const kept = statSync(incomplete).size;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThanOrEqual(100_000);
    expect(existsSync(join(cache, "models--org--model", "refs", "main"))).toBe(false);
    hub.breakAfter = Infinity;
    await pull(model, { cache });
    expect(hub.requests.at(-1)).toBe(`/cdn/model.safetensors bytes=${kept}-${weights.length - 1}`);
    expect(existsSync(incomplete)).toBe(false);
    expect(readFileSync(blob(hub.oid("model.safetensors"))).equals(weights)).toBe(true);
  });

  it.each([
    ["spoilt", Buffer.from("spoilt")],
    ["too long", Buffer.alloc(weights.length + 5)],
  ])("starts anew when what was left is %s", async (_, left) => {
    const hub = await serve(single);
    await pull(`${model}@main`, { cache, file: "model-q4.gguf" });
    writeFileSync(`${blob(hub.oid("model.safetensors"))}.incomplete`, left);
    await pull(model, { cache });
    expect(readFileSync(blob(hub.oid("model.safetensors"))).equals(weights)).toBe(true);
  });

  it("starts anew when the server does not do ranges", async () => {
    const hub = await serve(single);
    hub.breakAfter = 100_000;
    await expect(pull(model, { cache })).rejects.toThrow(CheckpointError);
    hub.breakAfter = Infinity;
    hub.ignoreRanges = true;
    await pull(model, { cache });
    expect(readFileSync(blob(hub.oid("model.safetensors"))).equals(weights)).toBe(true);
  });

  it("refuses content that does not have the announced hash", async () => {
    const hub = await serve(single);
    vi.spyOn(hub, "oid").mockImplementation(() => "a".repeat(64));
    await expect(pull(model, { cache })).rejects.toThrow(
      /config\.json: what arrived is not what was announced/,
    );
    expect(readdirSync(join(cache, "models--org--model", "blobs"))).toEqual([]);
  });

  it("brings the shards that the index names", async () => {
    const hub = await serve(sharded);
    const files = await pull(`${model}@${hub.commit}`, { cache });
    expect(readdirSync(files.folder).sort()).toEqual(
      Object.keys(sharded)
        .filter((n) => !n.startsWith("o"))
        .sort(),
    );
    expect([...openCheckpoint(files).tensors.keys()]).toEqual(["a", "b"]);
    expect(existsSync(join(cache, "models--org--model", "refs"))).toBe(false);
    expect(locate(`${model}@${hub.commit}`, cache).folder).toBe(files.folder);
  });

  it("refuses an index that names what the hub lacks", async () => {
    await serve({
      ...sharded,
      "model.safetensors.index.json": small('{"weight_map":{"a":"x.safetensors"}}'),
    });
    await expect(pull(model, { cache })).rejects.toThrow(/names x\.safetensors, which the hub does not have/);
  });

  it("takes one GGUF, chosen where there are several", async () => {
    const part = (n: number) => `m-Q8-0000${n}-of-00002.gguf`;
    const gguf = {
      "m-Q4.gguf": large(Buffer.from("4")),
      [part(1)]: large(Buffer.from("1")),
      [part(2)]: large(Buffer.from("2")),
    };
    await serve(gguf);
    await expect(pull(model, { cache })).rejects.toThrow(
      new ParameterError("file", `${model} has several GGUF files; choose one of m-Q4.gguf, ${part(1)}`),
    );
    const four = await pull(model, { cache, file: "m-Q4.gguf" });
    expect(four.weights).toEqual([join(four.folder, "m-Q4.gguf")]);
    const eight = await pull(model, { cache, file: part(2) });
    expect(eight.weights).toEqual([join(four.folder, part(1)), join(four.folder, part(2))]);
    await expect(pull(model, { cache, file: "m-Q5.gguf" })).rejects.toThrow(/no m-Q5\.gguf; it has m-Q4/);
  });

  it("stops when told to, and keeps what has arrived", async () => {
    const hub = await serve(single);
    const controller = new AbortController();
    const reason = new Error("enough");
    const stopped = pull(model, {
      cache,
      signal: controller.signal,
      onProgress: ({ file, done }) => {
        if (file === "model.safetensors" && done > 30_000) controller.abort(reason);
      },
    });
    await expect(stopped).rejects.toBe(reason);
    expect(statSync(`${blob(hub.oid("model.safetensors"))}.incomplete`).size).toBeGreaterThan(0);
    await pull(model, { cache });
    expect(locate(model, cache).kind).toBe("safetensors");
  });

  it("sends the token, and says what to do without one", async () => {
    const hub = await serve(single);
    hub.token = "hf_secret";
    await expect(pull(model, { cache })).rejects.toThrow(
      /org\/model: does not exist or may not be read.*HF_TOKEN/,
    );
    vi.stubEnv("HF_TOKEN", "hf_secret");
    expect((await pull(model, { cache })).kind).toBe("safetensors");
    vi.stubEnv("HF_TOKEN", "secret");
    const refused = pull(model, { cache });
    await expect(refused).rejects.toThrow(/HF_TOKEN: is no access token/);
    await expect(refused).rejects.not.toThrow(/secret/);
  });

  it("names what cannot be had", async () => {
    await serve({ "README.md": small("x") });
    await expect(pull(model, { cache })).rejects.toThrow(/holds no model\.safetensors/);
    await expect(pull("org/absent", { cache })).rejects.toThrow(/org\/absent: .* has no such model/);
    await expect(pull("not an id", { cache })).rejects.toThrow(ParameterError);
    await server?.close();
    await expect(pull(model, { cache })).rejects.toThrow(/cannot be reached/);
  });
});
