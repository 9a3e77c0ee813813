/**
 * Calls into a child process and answers from it: one process for each engine, kept alive between measurements.
 * Knows processes and messages only.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * Starts a script of engines/ that calls `serve`.
 * @param {string} script
 * @param {{ execPath?: string, execArgv?: string[], env?: NodeJS.ProcessEnv }} [options]
 */
export function startChild(script, options = {}) {
  const path = fileURLToPath(new URL(`engines/${script}`, import.meta.url));
  const child = fork(path, {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    ...options,
  });
  /** @type {Map<number, { resolve(value: unknown): void, reject(error: Error): void }>} */
  const waiting = new Map();
  let last = 0;
  child.on("message", ({ id, value, error }) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(new Error(error));
  });
  const exited = new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ?? code)));
  exited.then((how) => {
    for (const { reject } of waiting.values()) reject(new Error(`${script} ended (${how})`));
  });
  return {
    pid: child.pid,
    /** Runs a method of the child; what it throws is thrown here. */
    call: (method, parameters = {}) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        if (!child.connected) return reject(new Error(`${script} has ended`));
        waiting.set(id, { resolve, reject });
        child.send({ id, method, parameters });
      }),
    async stop() {
      child.kill();
      await exited;
    },
  };
}

/**
 * In the child: answers calls, one at a time.
 * @param {Record<string, (parameters: object) => Promise<unknown>>} methods
 */
export function serve(methods) {
  let queue = Promise.resolve();
  process.on("disconnect", () => process.exit());
  process.on("message", ({ id, method, parameters }) => {
    queue = queue.then(async () => {
      try {
        process.send({ id, value: await methods[method](parameters) });
      } catch (error) {
        process.send({ id, error: error instanceof Error ? error.message : String(error) });
      }
    });
  });
}
