/** WebAssembly in Node. */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { binaries } from "./binaries.ts";
import type { Host } from "./host.ts";

const prelude = `
const { parentPort, workerData: data } = require("node:worker_threads");
const post = (message) => parentPort.postMessage(message);
`;

/** The engine of Node 20 has the relaxed instructions behind a flag, unfinished. */
const unfinished = Number.parseInt(process.versions.node, 10) <= 20;

export const host: Host = {
  shared: true,
  cores: availableParallelism(),
  get isa() {
    return process.env.FOVEA_ISA || undefined;
  },
  distrust: unfinished
    ? `Node ${process.versions.node} has them unfinished; use Node 22 or later`
    : undefined,
  binary: async (isa) => new Uint8Array(await readFile(new URL(`./${binaries[isa]}`, import.meta.url))),
  spawn(source, data, { message, error }) {
    const worker = new Worker(prelude + source, { eval: true, workerData: data, execArgv: [] });
    worker.on("message", message);
    worker.on("error", error);
    return {
      hold: (held) => (held ? worker.ref() : worker.unref()),
      terminate: () => void worker.terminate(),
    };
  },
};
