/** A hub of models on the loopback interface, with the endpoints that a download uses, and faults on demand. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubFile {
  readonly content: Buffer;
  /** Large files are named by their sha256 and served from another path, small ones by their git hash. */
  readonly large?: boolean;
}

export class HubServer {
  readonly commit = "89abcdef0123456789abcdef0123456789abcdef";
  /** Paths of all requests, with the range asked for. */
  readonly requests: string[] = [];
  /** Breaks the connection after so many bytes of each answer that carries content. */
  breakAfter = Infinity;
  /** Requests must carry this token. */
  token: string | undefined;
  /** Answers the whole file where a range was asked for, save the first byte, by which sizes are asked. */
  ignoreRanges = false;
  readonly #files: ReadonlyMap<string, HubFile>;
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #model: string;

  constructor(model: string, files: Readonly<Record<string, HubFile>>) {
    this.#model = model;
    this.#files = new Map(Object.entries(files));
  }

  async listen(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  oid(name: string): string {
    const { content, large } = this.#files.get(name) as HubFile;
    return large
      ? createHash("sha256").update(content).digest("hex")
      : createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`);
    this.requests.push(`${url.pathname} ${request.headers.range ?? ""}`.trim());
    const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
      response
        .writeHead(status, { "content-type": "application/json", ...headers })
        .end(JSON.stringify(body));
    const model = this.#model;
    const path = url.pathname;
    const resolve = `/${model}/resolve/${this.commit}/`;
    const name = decodeURIComponent(path.slice(path.lastIndexOf("/") + 1));
    const file = this.#files.get(name);
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`)
      json(401, { error: "Invalid username or password." });
    else if (path === `/api/models/${model}/revision/main`)
      json(200, { _id: "1", id: model, sha: this.commit, lastModified: "2024-01-01T00:00:00Z" });
    else if (path === `/api/models/${model}/tree/${this.commit}`) this.#tree(url, json);
    else if (file?.large && path === `${resolve}${name}`)
      response
        .writeHead(302, {
          location: `/cdn/${name}`,
          "x-linked-etag": `"${this.oid(name)}"`,
          "x-linked-size": String(file.content.length),
        })
        .end();
    else if (file !== undefined && [`${resolve}${name}`, `/cdn/${name}`].includes(path))
      this.#send(request, response, name, file);
    else json(404, { error: "Repository not found" }, { "x-error-code": "EntryNotFound" });
  }

  /** Two pages, to be followed by their link. */
  #tree(url: URL, json: (status: number, body: unknown, headers?: Record<string, string>) => void): void {
    const entries = [...this.#files].map(([path, { content, large }]) => ({
      type: "file",
      path,
      size: content.length,
      oid: large ? "f".repeat(40) : this.oid(path),
      ...(large && { lfs: { oid: this.oid(path), size: content.length, pointerSize: 134 } }),
    }));
    const second = url.searchParams.has("cursor");
    url.searchParams.set("cursor", "2");
    json(
      200,
      second
        ? entries.slice(3)
        : [{ type: "directory", path: "onnx", size: 0, oid: "0".repeat(40) }, ...entries.slice(0, 3)],
      second ? {} : { link: `<${url.href}>; rel="next"` },
    );
  }

  #send(request: IncomingMessage, response: ServerResponse, name: string, { content }: HubFile): void {
    const asked = request.headers.range ?? "";
    const range = this.ignoreRanges && asked !== "bytes=0-0" ? null : /^bytes=(\d+)-(\d+)$/.exec(asked);
    const [start, end] = range ? [Number(range[1]), Number(range[2])] : [0, content.length - 1];
    const body = content.subarray(start, end + 1);
    response.writeHead(range ? 206 : 200, {
      "content-length": String(body.length),
      etag: `"${this.oid(name)}"`,
      ...(range && { "content-range": `bytes ${start}-${end}/${content.length}` }),
    });
    if (body.length <= this.breakAfter) response.end(body);
    else response.write(body.subarray(0, this.breakAfter), () => setTimeout(() => response.destroy(), 20));
  }
}
