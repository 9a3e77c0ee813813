import type { Results } from "./report.mjs";

export function chart(results: Results): string;
