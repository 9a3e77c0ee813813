/**
 * Several files as one checkpoint. Knows which file owns which tensor and nothing of their layouts.
 */
import { type Checkpoint, type TensorInfo, tensorOf } from "./checkpoint.ts";

/** Tensors of `parts` under their own names, each read from its owner. `path` names the whole in errors. */
export function joinCheckpoints(
  path: string,
  parts: readonly [Checkpoint, ...Checkpoint[]],
  owners: ReadonlyMap<string, Checkpoint>,
): Checkpoint {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, owner] of owners) tensors.set(name, tensorOf(owner.path, owner.tensors, name));
  const owner = (name: string): Checkpoint => {
    tensorOf(path, tensors, name);
    return owners.get(name) as Checkpoint;
  };
  return {
    kind: parts[0].kind,
    path,
    tensors,
    metadata: parts[0].metadata,
    ...(parts[0].metadataTypes === undefined ? {} : { metadataTypes: parts[0].metadataTypes }),
    bytes: (name) => owner(name).bytes(name),
    raw: (name) => owner(name).raw(name),
    // A view knows by its buffer whether it is a part's map; the others ignore it.
    release(view) {
      for (const part of parts) part.release(view);
    },
    close() {
      for (const part of parts) part.close();
    },
  };
}
