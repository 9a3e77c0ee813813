/** A server of the built library in a process of its own, and what can be read of it from outside. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** Starts `fovea serve` on a free port of loopback with the model and flags given; `log`: what it wrote to stderr. */
export async function startServer(flags = []) {
  const child = spawn(process.execPath, [main, "serve", "--port", "0", "--json", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const server = { log: "" };
  child.stderr.on("data", (data) => {
    server.log = (server.log + data).slice(-100_000);
  });
  const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value } = await Promise.race([lines.next(), ended.then(() => ({ value: undefined }))]);
  if (value === undefined) throw new Error(`the server did not start: ${server.log}`);
  const { url, port, model } = JSON.parse(value);
  return Object.assign(server, {
    ...{ url, port, model, pid: child.pid, ended },
    /** Asks it to end and waits; a server that does not is killed, and that is told as null. */
    async stop(ms = 20_000) {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), ms);
      const how = await ended;
      clearTimeout(late);
      return how;
    },
  });
}

/** The process that holds the model: the child of the server. */
export function modelProcess(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean);
  return children.map(Number)[0];
}

/** Resident bytes of a process, and how many files and sockets it has open. */
export function processOf(pid) {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return { bytes: pages * 4096, handles: readdirSync(`/proc/${pid}/fd`).length };
}

/** What a connection says that the other side had closed before anything was asked on it. */
const CLOSED = ["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"];

/**
 * `fetch`, anew where the connection had ended while nothing was asked, as every client does: after a pause of this
 * process there may be many such connections. One that the server cuts again and again is an error.
 */
export async function fetchAnew(url, request = {}) {
  for (let tries = 0; ; tries++)
    try {
      return await fetch(url, request);
    } catch (error) {
      if (tries === 3 || request.signal?.aborted || !CLOSED.includes(error.cause?.code)) throw error;
    }
}

/** All values of /metrics by name and labels. */
export async function metricsOf(url) {
  const text = await (await fetchAnew(`${url}/metrics`)).text();
  const values = new Map();
  for (const line of text.split("\n"))
    if (line !== "" && !line.startsWith("#")) {
      const at = line.lastIndexOf(" ");
      values.set(line.slice(0, at), Number(line.slice(at)));
    }
  return values;
}
