/**
 * What commands ask of the floors below, loaded when it is first asked for: `fovea --help` loads none of it.
 * Tests put their own in its place.
 */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { CheckpointFiles } from "../checkpoint/locate.ts";
import type { PullOptions } from "../checkpoint/pull.ts";
import type { Tokenizer } from "../checkpoint/tokenizer/index.ts";
import type { QuantizeOptions, QuantizeReport } from "../tasks/quantize.ts";
import type { LanguageModel, OpenOptions } from "../tasks/types.ts";

export interface Inspected {
  readonly files: CheckpointFiles;
  readonly checkpoint: Checkpoint;
  /** config.json as it stands; a GGUF has its settings in the metadata. */
  readonly config: unknown;
  readonly tokenizer: Tokenizer | undefined;
}

export interface Services {
  open(pathOrId: string, options: OpenOptions): Promise<LanguageModel>;
  /** In a process of its own, which is started again should it end. */
  host(pathOrId: string, options: OpenOptions, onCrash: (error: Error) => void): Promise<LanguageModel>;
  /** Random weights of a known shape; `llama-1.1b:q4_0`. */
  openRandom(shapeAndFormat: string, options: OpenOptions): Promise<LanguageModel>;
  pull(id: string, options: PullOptions): Promise<CheckpointFiles>;
  inspect(pathOrId: string): Promise<Inspected>;
  quantize(pathOrId: string, options: QuantizeOptions): Promise<QuantizeReport>;
}

export const services: Services = {
  async open(pathOrId, options) {
    const { open } = await import("../tasks/open.ts");
    return open(pathOrId, options);
  },
  async host(pathOrId, options, onCrash) {
    const { openHosted } = await import("../tasks/host/open.ts");
    return openHosted(pathOrId, options, onCrash);
  },
  async openRandom(shapeAndFormat, options) {
    const { openRandom } = await import("../tasks/open-random.ts");
    return openRandom(shapeAndFormat, options);
  },
  async pull(id, options) {
    const { pull } = await import("../checkpoint/pull.ts");
    return pull(id, options);
  },
  async inspect(pathOrId) {
    const [{ locate }, { openCheckpoint, readJsonFile }, { tokenizerOf }] = await Promise.all([
      import("../checkpoint/locate.ts"),
      import("../checkpoint/open.ts"),
      import("../checkpoint/tokenizer/index.ts"),
    ]);
    const files = locate(pathOrId);
    const checkpoint = openCheckpoint(files);
    return {
      files,
      checkpoint,
      config: files.config === undefined ? undefined : readJsonFile(files.config),
      tokenizer: tokenizerOf(checkpoint, files.folder),
    };
  },
  async quantize(pathOrId, options) {
    const { quantize } = await import("../tasks/quantize.ts");
    return quantize(pathOrId, options);
  },
};
