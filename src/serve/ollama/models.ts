/** Ollama's routes that tell what is served: tags, ps, show, version. */

import { version } from "../../base/version.ts";
import type { ChatTemplate } from "../../checkpoint/tokenizer/chat-template.ts";
import { reasoningOf } from "../../decode/reasoning.ts";
import type { ServeContext } from "../context.ts";
import { Fields } from "../fields.ts";
import { takesTools } from "../talk.ts";
import { checkName } from "./options.ts";

/** Ollama shows parameters as 1.1B, 260K. */
function size(parameters: number): string {
  const units = ["", "K", "M", "B"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, parameters)) / 3));
  return `${Number((parameters / 1000 ** power).toPrecision(3))}${units[power]}`;
}

function details({ model }: ServeContext) {
  const { architecture, parameters, formats } = model.describe();
  const [largest = "unknown"] = Object.entries(formats).sort(([, a], [, b]) => b - a)[0] ?? [];
  return {
    parent_model: "",
    format: "fovea",
    family: architecture,
    families: [architecture],
    parameter_size: size(parameters),
    quantization_level: largest.toUpperCase(),
  };
}

const entry = (context: ServeContext) => ({
  name: context.model.name,
  model: context.model.name,
  modified_at: new Date(context.created * 1000).toISOString(),
  size: context.model.describe().weightsBytes,
  // There is none: models here are known by their names.
  digest: "",
  details: details(context),
});

function capabilities(template: ChatTemplate | undefined): string[] {
  if (template === undefined) return ["completion"];
  return [
    "completion",
    ...(takesTools(template.toolSource) ? ["tools"] : []),
    ...(reasoningOf(template.source) ? ["thinking"] : []),
  ];
}

export const tags = (context: ServeContext): Response => Response.json({ models: [entry(context)] });

export const versions = (): Response => Response.json({ version: version() });

/** The model stays until the server ends. */
export const running = (context: ServeContext): Response =>
  Response.json({
    models: [{ ...entry(context), expires_at: "9999-12-31T23:59:59Z", size_vram: 0 }],
  });

export function show(context: ServeContext, body: unknown): Response {
  const { model, tokenizer } = context;
  const fields = new Fields(body);
  checkName(fields, model);
  fields.boolean("verbose");
  for (const field of ["system", "template", "options"])
    fields.refuse(field, "the model is shown as it is; leave it out");
  fields.done();
  const { architecture, parameters } = model.describe();
  return Response.json({
    license: "",
    modelfile: "",
    parameters: "",
    template: tokenizer.chatTemplate?.source ?? "",
    system: "",
    messages: [],
    details: details(context),
    modified_at: new Date(context.created * 1000).toISOString(),
    model_info: {
      "general.architecture": architecture,
      "general.parameter_count": parameters,
      [`${architecture}.context_length`]: model.contextLength,
      [`${architecture}.vocab_size`]: model.vocabularySize,
    },
    capabilities: capabilities(tokenizer.chatTemplate),
  });
}
