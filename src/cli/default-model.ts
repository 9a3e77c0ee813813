/** Which model is meant when none is named. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FoveaError } from "../base/errors.ts";

/** Two folders up from src/cli and from dist/cli alike. */
const root = new URL("../../", import.meta.url);

/** In the package; then beside a checkout of it. */
const places = [
  { folder: "models/default", name: "default" },
  { folder: "../shared/models/stories260K/hf", name: "stories260K" },
];

/** The model that ships. Where there is none, the error says how to get one. */
export function defaultModel(): { folder: string; name: string } {
  for (const place of places) {
    const folder = fileURLToPath(new URL(place.folder, root));
    if (existsSync(folder)) return { folder, name: place.name };
  }
  throw new FoveaError(
    "no model is named, and none ships with this build. Name one with --model: a folder with config.json and " +
      "*.safetensors, a .gguf file, or a model from the Hugging Face hub after `fovea pull ORG/NAME`",
  );
}
