/** The worker threads of a WebAssembly device: how they start, and what they do. Knows nothing of plans. */
import type { DeviceError } from "../../base/errors.ts";
import type { Kernels } from "./choose.ts";
import type { Heap } from "./heap.ts";
import type { Host, Thread } from "./host.ts";

const STACK_BYTES = 1 << 20;

/** A thread's program: `data` and `post` come from the host. */
const worker = `
const { module, memory, thread, stack } = data;
const now = () => performance.now() * 1e6;
const { exports } = new WebAssembly.Instance(module, { env: { memory, now } });
exports.__stack_pointer.value = stack;
post("ready");
for (let done = 0; ; done = (done + 1) | 0) {
  exports.work(thread, done);
  if (thread === 0) post("done");
}
`;

export interface CrewEvents {
  /** All threads have done a job. */
  finished(): void;
  /** A thread has ended, for the reason that is given and told as the error that comes back. */
  failed(problem: unknown): DeviceError;
}

/** Threads that wait for jobs, and keep no process alive. */
export async function startThreads(
  host: Host,
  { compiled, module }: Kernels,
  heap: Heap,
  count: number,
  { finished, failed }: CrewEvents,
): Promise<Thread[]> {
  const threads: Thread[] = [];
  const ready = Array.from({ length: count }, (_, thread) => {
    const stack = heap.take(STACK_BYTES) + STACK_BYTES;
    const data = { module: compiled, memory: module.memory, thread, stack };
    return new Promise<void>((resolve, reject) => {
      const message = (said: unknown): void => (said === "ready" ? resolve() : finished());
      threads.push(host.spawn(worker, data, { message, error: (problem) => reject(failed(problem)) }));
    });
  });
  try {
    await Promise.all(ready);
  } catch (error) {
    for (const thread of threads) thread.terminate();
    throw error;
  }
  for (const thread of threads) thread.hold(false);
  return threads;
}
