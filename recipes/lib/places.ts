/** Where recipes find data and put results. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ParameterError } from "fovea";

/** The repository, from build/recipes/lib. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** What is given, or else this file of `../shared/data`; `source` says where somebody without it gets the text. */
export function findData(given: string, name: string, source: string): string {
  if (given !== "") {
    if (existsSync(given)) return given;
    throw new ParameterError("--data", `${given}: no such file or folder`);
  }
  const found = join(process.env.FOVEA_SHARED ?? join(root, "../shared"), "data", name);
  if (existsSync(found)) return found;
  throw new ParameterError("--data", `name the text to learn from; ${source}. There is no ${found}`);
}

/** Where the default model's books come from. */
export const booksSource =
  "a folder or archive of .txt and .md, such as a clone of https://github.com/mlschmitt/classic-books-markdown";
