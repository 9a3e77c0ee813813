/** The parts that tests use. */
export type Times = Readonly<Record<string, number>>;

export interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly amount?: number;
  readonly of: (times: Times) => number;
  readonly work?: { readonly bytes?: number; readonly operations?: number };
  readonly limit?: string;
}

export interface Limits {
  readonly read: number;
  readonly operations: Readonly<Record<string, number>>;
}

export interface Result {
  readonly median: number;
  readonly spread: number;
  readonly all: readonly number[];
  readonly gigabytes?: number;
  readonly gigaOperations?: number;
  readonly share?: number;
}

export interface Compared {
  readonly name: string;
  readonly unit: string;
  readonly limit?: string;
  readonly results: Readonly<Record<string, Result>>;
  readonly ratios: readonly {
    readonly ours: string;
    readonly peer: string;
    readonly median: number;
    readonly spread: number;
  }[];
  readonly refused: readonly { readonly engine: string; readonly reason: string }[];
}

export const strict: { readonly others: number; readonly spread: number };

export function compare(
  measure: Measure,
  engines: readonly { readonly name: string; readonly ours: boolean; readonly times: readonly Times[] }[],
  limits: Limits | undefined,
  bounds: { readonly spread: number },
): Compared;
