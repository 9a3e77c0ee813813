/** Puts an app on a socket and takes it off again. Knows Node's HTTP server; must not know routes. */

import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
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

/** Milliseconds. A client that is slow, or has vanished, holds a connection no longer than this. */
export interface Patience {
  /** Until the headers of a request are there, and until all of it is. */
  readonly headers: number;
  readonly request: number;
  /** How long a client that was sent something may take none of it. */
  readonly reading: number;
  /** Between two looks at who is late. */
  readonly interval: number;
}

const patient: Patience = { headers: 15_000, request: 60_000, reading: 60_000, interval: 5_000 };

/** Listens; port 0 takes a free one. */
export function listen(
  app: Hono,
  { host, port, patience = patient }: { host: string; port: number; patience?: Patience },
): Promise<Listening> {
  const limits = {
    headersTimeout: patience.headers,
    requestTimeout: patience.request,
    connectionsCheckingInterval: patience.interval,
    // Longer than clients and proxies keep theirs (Go's 90 s apart): one that sends on a connection just closed fails.
    keepAliveTimeout: 75_000,
    // A machine that vanished while it waits for an answer is noticed by what TCP itself asks.
    keepAlive: true,
    keepAliveInitialDelay: patience.reading,
  };
  const server = createServer(limits, getRequestListener(app.fetch, { overrideGlobalObjects: false }));
  cutStalled(server, patience);
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

/** Cuts connections whose clients have stopped reading: what is worked on for them ends too. */
function cutStalled(server: Server, { reading, interval }: Patience): void {
  const sockets = new Map<Socket, { bytes: number; still: number }>();
  server.on("connection", (socket: Socket) => {
    sockets.set(socket, { bytes: 0, still: 0 });
    socket.once("close", () => sockets.delete(socket));
  });
  const timer = setInterval(() => {
    for (const [socket, seen] of sockets) {
      // Nothing is written while a client is behind: this number stands still until it has read.
      const { bytesWritten, writableLength } = socket;
      if (writableLength === 0 || bytesWritten !== seen.bytes) {
        seen.bytes = bytesWritten;
        seen.still = 0;
      } else {
        // By looks, not by the clock: while this process was asleep nobody could have taken anything.
        seen.still += interval;
        if (seen.still > reading) socket.destroy();
      }
    }
  }, interval);
  timer.unref();
  server.once("close", () => clearInterval(timer));
}
