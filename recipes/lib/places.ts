/** Where recipes find data and put results. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ParameterError } from "fovea";

/** The repository, from build/recipes/lib. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** The first of these that is there. */
export function findData(given: string, names: readonly string[]): string {
  if (given !== "") return given;
  const shared = process.env.FOVEA_SHARED ?? join(root, "../shared");
  const found = names.map((name) => join(shared, "data", name)).find((path) => existsSync(path));
  if (found === undefined)
    throw new ParameterError(
      "--data",
      `there is no ${names.join(" or ")} under ${shared}/data; name a folder or archive of text`,
    );
  return found;
}
