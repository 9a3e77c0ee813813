/** Checkpoint files: written, found, opened, read; over files and over bytes in memory. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { addon } from "../../src/base/addon.ts";
import { CheckpointError, ParameterError } from "../../src/base/errors.ts";
import { elementCount, readF32, readIntegers } from "../../src/checkpoint/checkpoint.ts";
import { FileSource } from "../../src/checkpoint/file.ts";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import { GgufArray } from "../../src/checkpoint/gguf-values.ts";
import { encodeGgufHeader, type GgufEntry, writeGguf } from "../../src/checkpoint/gguf-writer.ts";
import { locate } from "../../src/checkpoint/locate.ts";
import { openCheckpoint, readJsonFile } from "../../src/checkpoint/open.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors-writer.ts";
import { BytesSource } from "../../src/checkpoint/source.ts";
import { type FormatName, formats } from "../../src/format/index.ts";
import {
  ggufFile,
  packed,
  safetensorsFile,
  safetensorsSample,
  sampleMetadata,
  sampleTensors,
  wave,
} from "../support/checkpoints.ts";
import { haveShared, shared } from "../support/shared.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const inFolder = (...names: string[]): string => join(folder, ...names);
const plain = (value: unknown) =>
  value instanceof GgufArray
    ? value.type === "string"
      ? value.strings()
      : Array.from(value.numbers())
    : value;

describe.each([
  ["with the add-on where it is built", ""],
  ["without the add-on", "1"],
])("a file as a source, %s", (_, noAddon) => {
  afterEach(() => vi.unstubAllEnvs());
  const open = (path: string) => {
    vi.stubEnv("FOVEA_NO_ADDON", noAddon);
    if (noAddon) expect(addon()).toBeUndefined();
    return new FileSource(path);
  };

  it("reads any range, and the same after its pages were released", () => {
    const bytes = Uint8Array.from({ length: 300_001 }, (__, i) => (i * 7) % 253);
    const path = inFolder("range.bin");
    writeFileSync(path, bytes);
    const source = open(path);
    expect(source.size).toBe(bytes.length);
    for (const [at, length] of [
      [0, 10],
      [0, 300_001],
      [4097, 200_000],
      [123, 65_536],
      [300_001, 0],
    ] as const) {
      const view = source.read(at, length);
      expect(Buffer.from(view).equals(bytes.subarray(at, at + length))).toBe(true);
      source.release(view);
      expect(Buffer.from(view).equals(bytes.subarray(at, at + length))).toBe(true);
    }
    expect(() => source.read(300_000, 2)).toThrow(/range\.bin, at byte 300000: 2 bytes were expected/);
    expect(() => source.read(-1, 2)).toThrow(CheckpointError);
    expect(() => source.read(0, 2 ** 53)).toThrow(CheckpointError);
    source.close();
    expect(() => source.read(0, 1)).toThrow(/after it was closed/);
  });

  it("reads an empty file", () => {
    writeFileSync(inFolder("empty.bin"), "");
    expect(open(inFolder("empty.bin")).read(0, 0).length).toBe(0);
  });
});

describe("files that cannot be opened", () => {
  it("names the reason", () => {
    symlinkSync("loop-b", inFolder("loop-a"));
    symlinkSync("loop-a", inFolder("loop-b"));
    expect(() => new FileSource(inFolder("loop-a"))).toThrow(/loop-a: its symbolic links lead in a circle/);
    expect(() => new FileSource(inFolder("absent"))).toThrow(/absent: no such file/);
    expect(() => new FileSource(folder)).toThrow(/is not a file/);
  });
});

describe("GGUF", () => {
  it("is read as it was written, in memory and from a file", async () => {
    const path = inFolder("sample.gguf");
    await writeGguf(path, sampleMetadata, sampleTensors, packed);
    const { bytes } = ggufFile();
    expect(readFileSync(path).equals(bytes)).toBe(true);
    for (const checkpoint of [openGguf(new BytesSource("b", bytes)), openCheckpoint(locate(path))]) {
      expect(checkpoint.kind).toBe("gguf");
      expect([...checkpoint.metadata.keys()]).toEqual([...sampleMetadata.keys()]);
      for (const [key, { value }] of sampleMetadata)
        expect(plain(checkpoint.metadata.get(key))).toEqual(key.endsWith("flags") ? [1, 0] : value);
      for (const tensor of sampleTensors) {
        expect(checkpoint.tensors.get(tensor.name)).toMatchObject(tensor);
        expect(Buffer.from(checkpoint.bytes(tensor.name)).equals(packed(tensor))).toBe(true);
        const expected = new Float32Array(elementCount(tensor.shape));
        formats[tensor.format].unpack(packed(tensor), expected);
        expect(readF32(checkpoint, tensor.name)).toEqual(expected);
      }
      checkpoint.close();
    }
  });

  it("is written again from what was read, bit by bit, at another alignment too", () => {
    const metadata = new Map<string, GgufEntry>([
      ...sampleMetadata,
      ["general.alignment", { type: "u32", value: 128 }],
    ]);
    const { bytes, header } = ggufFile(metadata);
    const read = openGguf(new BytesSource("b", bytes));
    const again = new Map<string, GgufEntry>();
    for (const [key, value] of read.metadata)
      again.set(key, { type: read.metadataTypes.get(key) as GgufEntry["type"], value });
    const { header: second, alignment } = encodeGgufHeader(again, sampleTensors);
    expect(alignment).toBe(128);
    expect(Buffer.from(second).equals(bytes.subarray(0, header))).toBe(true);
  });

  it("refuses what the format cannot hold, and leaves no file behind", async () => {
    const target = inFolder("writes");
    mkdirSync(target);
    const path = join(target, "out.gguf");
    const write = (metadata: [string, GgufEntry][], tensors = sampleTensors, produce = packed) =>
      writeGguf(path, new Map(metadata), tensors, produce);
    await expect(write([["a", { type: "u8", value: 256 }]])).rejects.toThrow(/a: 256 is no value of type u8/);
    await expect(write([["a", { type: "i32", value: 0.5 }]])).rejects.toThrow(ParameterError);
    await expect(write([["a", { type: "string", value: [1] }]])).rejects.toThrow(/type string/);
    const [first] = sampleTensors as [(typeof sampleTensors)[0]];
    await expect(write([], [first, first])).rejects.toThrow(/two tensors/);
    await expect(write([], [{ ...first, shape: [2, 0] }])).rejects.toThrow(/positive/);
    await expect(write([], [{ name: "q", shape: [2, 48], format: "q4_0" }])).rejects.toThrow(/blocks of 32/);
    await expect(write([], [first], () => new Uint8Array(3))).rejects.toThrow(/3 bytes were made/);
    await expect(
      write([], sampleTensors, (tensor) => {
        if (tensor !== first) throw new Error("stopped halfway");
        return packed(tensor);
      }),
    ).rejects.toThrow("stopped halfway");
    expect(readdirSync(target)).toEqual([]);
    await expect(writeGguf(inFolder("no", "x.gguf"), new Map(), [], packed)).rejects.toThrow(
      /x\.gguf: cannot be written/,
    );
  });

  it.skipIf(!haveShared)("of others is read: values, a whole vocabulary, tensors", () => {
    const checkpoint = openCheckpoint(locate(shared("models/gguf-test/llama-2-tiny-random.gguf")));
    expect(checkpoint.metadata.get("general.architecture")).toBe("llama");
    expect(checkpoint.metadata.get("llama.context_length")).toBe(4096);
    const tokens = checkpoint.metadata.get("tokenizer.ggml.tokens") as GgufArray;
    const strings = tokens.strings();
    expect([strings.length, strings[0], strings[15043], strings[31999]]).toEqual([
      32000,
      "<unk>",
      "▁Hello",
      "给",
    ]);
    expect(checkpoint.tensors.get("token_embd.weight")).toMatchObject({ shape: [32000, 8], format: "f16" });
    expect(readF32(checkpoint, "token_embd.weight").every(Number.isFinite)).toBe(true);
    checkpoint.close();
  });

  it("opens a vocabulary of 128 000 tokens without decoding it", () => {
    const value = Array.from({ length: 128_000 }, (_, i) => `token ${i}`);
    const { bytes } = ggufFile(new Map([["tokenizer.ggml.tokens", { type: "string", value }]]), []);
    const tokens = openGguf(new BytesSource("b", bytes)).metadata.get("tokenizer.ggml.tokens") as GgufArray;
    expect(tokens.strings()).toEqual(value);
  });
});

describe("safetensors", () => {
  it("are read as they were written, in memory and from a folder", async () => {
    mkdirSync(inFolder("single"));
    writeFileSync(inFolder("single", "config.json"), '{"model_type":"llama"}');
    const path = inFolder("single", "model.safetensors");
    const { bytes } = safetensorsFile();
    const memory = openSafetensors(new BytesSource("b", bytes));
    await writeSafetensors(path, safetensorsSample, ({ name }) => memory.raw(name));
    expect(readFileSync(path).equals(bytes)).toBe(true);
    const files = locate(inFolder("single"));
    const checkpoint = openCheckpoint(files);
    expect(readJsonFile(files.config as string)).toEqual({ model_type: "llama" });
    for (const { name, shape } of safetensorsSample) {
      expect(checkpoint.tensors.get(name)?.shape).toEqual(shape);
      expect(checkpoint.raw(name)).toEqual(memory.raw(name));
    }
    expect(readIntegers(checkpoint, "mask").length).toBe(5);
    expect(() => checkpoint.bytes("ids")).toThrow(/"ids".*type i64, which Fovea does not read as weights/);
    expect(() => readF32(checkpoint, "mask")).toThrow(CheckpointError);
    expect(() => readIntegers(checkpoint, "scalar")).toThrow(/not an integer type/);
    expect(() => readIntegers(checkpoint, "ids")).toThrow(/beyond 2\^53/);
    checkpoint.close();
  });

  it("in shards are one checkpoint", async () => {
    mkdirSync(inFolder("shards"));
    writeFileSync(inFolder("shards", "config.json"), "{}");
    const names = ["a", "b", "c"];
    const file = (i: number) => `model-0000${i + 1}-of-00003.safetensors`;
    for (const [i, name] of names.entries())
      await writeSafetensors(
        inFolder("shards", file(i)),
        [{ name, shape: [2], dtype: "F32" }],
        () => new Uint8Array(Float32Array.of(i, i + 0.5).buffer),
      );
    const index = { weight_map: Object.fromEntries(names.map((name, i) => [name, file(i)])) };
    writeFileSync(inFolder("shards", "model.safetensors.index.json"), JSON.stringify(index));
    const checkpoint = openCheckpoint(locate(inFolder("shards")));
    for (const [i, name] of names.entries())
      expect(readF32(checkpoint, name)).toEqual(Float32Array.of(i, i + 0.5));
    checkpoint.close();
    index.weight_map.c = "model-00009-of-00003.safetensors";
    writeFileSync(inFolder("shards", "model.safetensors.index.json"), JSON.stringify(index));
    expect(() => openCheckpoint(locate(inFolder("shards")))).toThrow(
      /00009-of-00003\.safetensors: is missing/,
    );
  });

  it("keep half floats", async () => {
    const path = inFolder("half.safetensors");
    for (const [format, dtype] of [
      ["f16", "F16"],
      ["bf16", "BF16"],
    ] as [FormatName, string][]) {
      const bytes = new Uint8Array(128);
      formats[format].pack(wave(64), bytes);
      await writeSafetensors(path, [{ name: "w", shape: [64], dtype }], () => bytes);
      const source = new FileSource(path);
      const values = readF32(openSafetensors(source), "w");
      for (const [i, v] of wave(64).entries()) expect(values[i]).toBeCloseTo(v, 1);
    }
  });
});

describe("locating", () => {
  const cache = inFolder("cache");
  const commit = "0123456789abcdef0123456789abcdef01234567";
  const snapshot = (name: string, files: string[], ref = "main") => {
    const base = join(cache, `models--${name.replace("/", "--")}`);
    mkdirSync(join(base, "snapshots", commit), { recursive: true });
    mkdirSync(join(base, "refs"), { recursive: true });
    writeFileSync(join(base, "refs", ref), commit);
    for (const file of files) writeFileSync(join(base, "snapshots", commit, file), "");
    return join(base, "snapshots", commit);
  };
  const folderWith = (name: string, files: string[]) => {
    mkdirSync(inFolder(name), { recursive: true });
    for (const file of files) writeFileSync(inFolder(name, file), "");
    return inFolder(name);
  };

  it("finds an id in the cache by branch and by commit", () => {
    const at = snapshot("org/model", [
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "chat_template.jinja",
    ]);
    for (const what of ["org/model", "org/model@main", `org/model@${commit}`]) {
      const files = locate(what, cache);
      expect(files).toMatchObject({ kind: "safetensors", folder: at, config: join(at, "config.json") });
      expect(files.weights).toEqual([join(at, "model.safetensors")]);
      expect([...files.tokenizer.keys()]).toEqual(["tokenizer.json", "chat_template.jinja"]);
      expect(files.generationConfig).toBeUndefined();
    }
    expect(() => locate("org/model@v2", cache)).toThrow(/fovea pull org\/model@v2/);
    expect(() => locate("none/model.safetensors", cache)).toThrow(/no such file or folder/);
    expect(() => locate("org/other", cache)).toThrow(/cache .*; to download it: fovea pull org\/other/);
  });

  it("reads the variables of the Hugging Face tools", () => {
    const at = snapshot("org/model", ["config.json", "model.safetensors"]);
    vi.stubEnv("HF_HUB_CACHE", cache);
    expect(locate("org/model").folder).toBe(at);
    vi.unstubAllEnvs();
  });

  it("refuses a ref that leads nowhere", () => {
    snapshot("org/broken", []);
    writeFileSync(join(cache, "models--org--broken", "refs", "main"), "../../etc");
    expect(() => locate("org/broken", cache)).toThrow(/does not hold a commit/);
  });

  it("never takes an id for a path out of the cache", () => {
    for (const what of ["../model", "a/../b", "org/model@../x", "/etc/none", "a/b/c", "org/m--x"])
      expect(() => locate(what, cache)).toThrow(/no such file or folder/);
  });

  it("finds one GGUF, whole or split, in a folder or by its name", () => {
    const one = folderWith("one", ["m.gguf", "README.md"]);
    expect(locate(one)).toMatchObject({ kind: "gguf", weights: [join(one, "m.gguf")], config: undefined });
    const parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
    const split = folderWith("split", parts);
    const expected = parts.map((name) => join(split, name));
    expect(locate(split).weights).toEqual(expected);
    expect(locate(expected[1] as string).weights).toEqual(expected);
    const many = folderWith("many", ["q4.gguf", "q8.gguf"]);
    expect(() => locate(many)).toThrow(/name one of q4\.gguf, q8\.gguf/);
    expect(locate(join(many, "q8.gguf")).weights).toEqual([join(many, "q8.gguf")]);
    const torn = folderWith("torn", ["m-00001-of-00002.gguf"]);
    expect(() => locate(torn)).toThrow(/m-00002-of-00002\.gguf: this part .* is missing/);
  });

  it("says what a folder lacks", () => {
    expect(() => locate(folderWith("bare", ["model.safetensors"]))).toThrow(/no config\.json/);
    expect(() => locate(folderWith("void", ["x.txt"]))).toThrow(/looked for model\.safetensors/);
    expect(() => locate(folderWith("pickle", ["config.json", "pytorch_model.bin"]))).toThrow(/pickle/);
    expect(() => locate(join(folderWith("bare", []), "model.safetensors"))).toThrow(/give the folder/);
    expect(() => locate(join(folderWith("void", []), "x.txt"))).toThrow(/neither a folder nor/);
    expect(() => locate("absent.gguf")).toThrow(/no such file or folder/);
  });
});
