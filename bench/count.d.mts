import type { Plan, priceOf } from "../src/ops/index.ts";

export function countPlan(plan: Plan, price: typeof priceOf): { bytes: number; operations: number };
