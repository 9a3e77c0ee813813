/** A child process that answers calls. */
export interface Child {
  readonly pid: number | undefined;
  call<T>(method: string, parameters?: Record<string, unknown>): Promise<T>;
  stop(): Promise<void>;
}

export function startChild(
  script: string,
  options?: { execPath?: string; execArgv?: string[]; env?: NodeJS.ProcessEnv },
): Child;

export function serve(methods: Record<string, (parameters: never) => Promise<unknown>>): void;
