/** Steps back and forth. Edits that follow each other closely are one step. Pure. */

export interface Steps<T> {
  readonly past: readonly T[];
  readonly future: readonly T[];
  /** When the last edit was, if the last step was one. */
  readonly edited?: number;
}

const most = 100;
const closely = 1000;

export const noSteps: Steps<never> = { past: [], future: [] };

/** Before a change: `now` is what it changes. */
export function step<T>(steps: Steps<T>, now: T, editedAt?: number): Steps<T> {
  const same = editedAt !== undefined && steps.edited !== undefined && editedAt - steps.edited < closely;
  return {
    past: same ? steps.past : [...steps.past, now].slice(-most),
    future: [],
    ...(editedAt === undefined ? {} : { edited: editedAt }),
  };
}

export function back<T>({ past, future }: Steps<T>, now: T): readonly [Steps<T>, T] | undefined {
  const before = past.at(-1);
  return before === undefined ? undefined : [{ past: past.slice(0, -1), future: [now, ...future] }, before];
}

export function forth<T>({ past, future }: Steps<T>, now: T): readonly [Steps<T>, T] | undefined {
  const [after, ...rest] = future;
  return after === undefined ? undefined : [{ past: [...past, now], future: rest }, after];
}
