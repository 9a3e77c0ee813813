/** A server in processes of its own, under load and under attack, as in `npm run bench:soak` and `bench:hostile`. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const script = async (name: string, ...args: string[]): Promise<string> => {
  const path = fileURLToPath(new URL(`../../bench/${name}.mjs`, import.meta.url));
  // What a script found wrong stands in its output, which is part of the error.
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args]).catch(
    (error: Error & { stdout?: string }) => {
      throw new Error(`${error.message}\n${error.stdout}`);
    },
  );
  return stdout;
};

// What a process holds is read in /proc.
describe.skipIf(process.platform !== "linux")("a server", () => {
  it("under full load of all dialects loses no request, and its memory does not climb", async () => {
    const report = await script("soak", "--minutes", "1", "--clients", "16");
    expect(report).toMatch(/chat, tool, stream +[1-9]/);
    expect(report).not.toContain("WRONG");
  });

  it("endures a crowd, the end of its model's process, and full disks", async () => {
    const report = await script("hostile", "--connections", "1000");
    expect(report).toMatch(/1000 connections: /);
    expect(report).not.toContain("WRONG");
  });
});
