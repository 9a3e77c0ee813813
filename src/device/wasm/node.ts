/** WebAssembly in Node. */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Host } from "./host.ts";

const prelude = `
const { parentPort, workerData: data } = require("node:worker_threads");
const post = (message) => parentPort.postMessage(message);
`;

export const host: Host = {
  shared: true,
  cores: availableParallelism(),
  binary: async () => new Uint8Array(await readFile(new URL("./kernels.wasm", import.meta.url))),
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
