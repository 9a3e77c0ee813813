/** Whether a script is run by itself, or imported by another. */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const isMain = (url) =>
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(url));
