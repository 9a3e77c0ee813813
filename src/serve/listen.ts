/** Puts an app on a socket and takes it off again. Knows Node's HTTP server; must not know routes. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { FoveaError } from "../base/errors.ts";

export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Takes no new connections and waits for the running requests, `graceMs` at most; then cuts them. */
  close(graceMs: number): Promise<void>;
}

const problems: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use; choose another with --port",
  EACCES: "this user may not listen there; choose a port above 1023 with --port",
  EADDRNOTAVAIL: "this machine does not have the address",
  ENOTFOUND: "the host name is unknown",
};

/** Listens; port 0 takes a free one. */
export function listen(app: Hono, { host, port }: { host: string; port: number }): Promise<Listening> {
  // A client that sends its request byte by byte holds a connection no longer than this.
  const limits = { headersTimeout: 15_000, requestTimeout: 60_000, keepAliveTimeout: 5_000 };
  const server = createServer(limits, getRequestListener(app.fetch, { overrideGlobalObjects: false }));
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const problem = problems[error.code ?? ""] ?? error.message;
      reject(new FoveaError(`cannot listen on ${host} port ${port}: ${problem}`, { cause: error }));
    });
    server.listen(port, host, () => {
      const { port: actual } = server.address() as AddressInfo;
      resolve({
        host,
        port: actual,
        url: `http://${host.includes(":") ? `[${host}]` : host}:${actual}`,
        close: (graceMs) =>
          new Promise((done) => {
            const cut = setTimeout(() => server.closeAllConnections(), graceMs);
            // A connection that a client keeps alive turns idle when its last answer is out.
            const sweep = setInterval(() => server.closeIdleConnections(), 20);
            server.close(() => {
              clearTimeout(cut);
              clearInterval(sweep);
              done();
            });
          }),
      });
    });
  });
}
