/// <reference lib="dom" />
/** WebAssembly in a page. Memory is shared with workers only where the page is isolated from other origins. */
import { binaries } from "./binaries.ts";
import type { Host } from "./host.ts";

/** A page's workers share the machine with the page; more of them than this help no model that fits. */
const MOST_CORES = 16;

const prelude = `
const post = (message) => postMessage(message);
const waiting = new Promise((resolve) => { onmessage = (event) => resolve(event.data); });
waiting.then((data) => {
`;

export const host: Host = {
  shared: globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== "undefined",
  cores: Math.min(navigator.hardwareConcurrency, MOST_CORES),
  async binary(isa) {
    const name = binaries[isa];
    const response = await fetch(new URL(`./${name}`, import.meta.url));
    if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  },
  spawn(source, data, { message, error }) {
    const url = URL.createObjectURL(new Blob([prelude, source, "});"], { type: "text/javascript" }));
    const worker = new Worker(url);
    URL.revokeObjectURL(url);
    worker.onmessage = (event) => message(event.data);
    worker.onerror = (event) => error(event.message);
    worker.postMessage(data);
    return { hold() {}, terminate: () => worker.terminate() };
  },
};
