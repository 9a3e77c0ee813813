import type { Compared, Limits } from "./measure.mjs";

export interface Results {
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly kernel: string;
    readonly node: string;
    readonly commit?: string;
    readonly packages: { readonly fovea: string } & Readonly<Record<string, string>>;
  };
  readonly limits: Readonly<Record<string, Limits | undefined>>;
  readonly cases: readonly {
    readonly name: string;
    readonly title: string;
    readonly about: string;
    readonly rows: readonly {
      readonly label: string;
      readonly threads: number;
      readonly absent: readonly { readonly engine: string; readonly reason: string }[];
      readonly measures: readonly Compared[];
    }[];
    readonly missing: readonly {
      readonly label: string;
      readonly threads?: number;
      readonly reason: string;
    }[];
  }[];
}

export function markdown(results: Results): string;
