export interface Server {
  readonly url: string;
  readonly port: number;
  readonly model: string;
  readonly pid: number;
  /** What it wrote to stderr. */
  readonly log: string;
  stop(ms?: number): Promise<number | string | null>;
}
export function startServer(flags?: readonly string[]): Promise<Server>;
