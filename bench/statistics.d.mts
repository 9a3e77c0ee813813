export function median(values: readonly number[]): number;
export function spread(values: readonly number[]): number;
export function summary(values: readonly number[]): {
  median: number;
  spread: number;
  all: readonly number[];
};
