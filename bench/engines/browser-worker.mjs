/**
 * Enough of a page's `Worker` for wllama to run in Node: a module worker from a blob, over worker_threads. Must be
 * imported before wllama. Its pthreads are Node workers of the same script, which Emscripten makes from a file.
 */
import { resolveObjectURL } from "node:buffer";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker as NodeWorker } from "node:worker_threads";

const folder = mkdtempSync(join(tmpdir(), "fovea-wllama-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const base = pathToFileURL(`${folder}/`).href;

/** What the script of a page's worker finds in its global scope. */
const prelude = `
const { parentPort } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.location = { href: ${JSON.stringify(base)} };
globalThis.postMessage = (message, transfer) =>
  parentPort.postMessage(message, Array.isArray(transfer) ? transfer : transfer?.transfer);
parentPort.on("message", (data) => globalThis.onmessage?.({ data }));
`;

globalThis.self = globalThis;
globalThis.location = { href: base };
globalThis.Worker = class {
  #worker;
  #started;

  constructor(url) {
    this.#started = this.#start(url);
    this.#started.catch((error) => this.onerror?.(error));
  }

  async #start(url) {
    this.#worker = new NodeWorker(prelude + (await resolveObjectURL(url).text()), { eval: true });
    this.#worker.on("message", (data) => this.onmessage?.({ data }));
    this.#worker.on("error", (error) => this.onerror?.(error));
  }

  async postMessage(message, options) {
    await this.#started;
    // Emscripten's threads start from a script that Node can open: a file in place of the blob.
    const [first] = message.args ?? [];
    if (first instanceof Blob) {
      const path = join(folder, "threads.cjs");
      writeFileSync(path, await first.text());
      message.args[0] = path;
    }
    this.#worker.postMessage(message, options?.transfer);
  }

  async terminate() {
    await this.#started;
    await this.#worker.terminate();
  }
};
