import { defineConfig } from "vitest/config";

/** Tests lie by what they need; see docs/architecture.md. */
const project = (name: string, testTimeout = 120_000, env: Record<string, string> = {}) => ({
  test: {
    ...{ name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: 120_000, env },
    // What is waited for comes late on a machine that is busy with something else; only what never comes is wrong.
    expect: { poll: { timeout: 25_000, interval: 10 } },
  },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project("unit"),
      // Tests of threads: even small plans are run by all of them.
      project("device", 120_000, { FOVEA_ALONE: "0" }),
      project("golden"),
      project("serve"),
      project("web"),
      project("browser", 180_000),
      project("hostile", 300_000),
      project("soak", 600_000),
      project("recipes", 300_000),
      ...(process.env.FOVEA_PEERS ? [project("peers", 300_000)] : []),
    ],
  },
});
