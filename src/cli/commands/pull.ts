/** `fovea pull`: downloads a model from the Hugging Face hub into its standard cache. */
import { type AddCommand, type CommandContext, examples, UsageError } from "../command.ts";
import { jsonFlag } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { progress } from "../progress.ts";
import { showBytes } from "../show.ts";

interface Flags {
  readonly revision?: string;
  readonly file?: string;
  readonly json?: boolean;
}

export const pull: AddCommand = (program, context) => {
  const command = program
    .command("pull")
    .argument("<model>", "ORG/NAME on the Hugging Face hub")
    .description("Download a model into the Hugging Face cache. What was fetched before is kept and resumed.")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--file <name>", "which .gguf to take, of a model that has several");
  jsonFlag(command)
    .addHelpText(
      "after",
      `${examples(
        "pull HuggingFaceTB/SmolLM2-135M",
        "pull Qwen/Qwen2.5-0.5B-Instruct-GGUF --file qwen2.5-0.5b-instruct-q4_0.gguf",
      )}
Environment:
  HF_TOKEN     access token, for private and gated models
  HF_ENDPOINT  address of a mirror
  HF_HOME      folder of the cache (default: ~/.cache/huggingface)
`,
    )
    .action((model: string, flags: Flags) => run(model, flags, context));
};

async function run(model: string, { revision, file, json }: Flags, { io, services }: CommandContext) {
  if (revision !== undefined && model.includes("@"))
    throw new UsageError(`${model} names a revision already; leave out --revision`);
  const id = revision === undefined ? model : `${model}@${revision}`;
  const bar = progress(io.stderr, "pulling", showBytes);
  const files = await services
    .pull(id, {
      ...(file === undefined ? {} : { file }),
      onProgress: ({ done, total, file: name }) => bar.update(done, total, name),
      signal: io.signal,
    })
    .finally(bar.end);
  if (json) return printJson(io.stdout, { model: id, folder: files.folder, weights: files.weights });
  const name = file === undefined ? id : files.weights[0];
  return print(io.stdout, `${files.folder}\n\nRun it:  fovea generate --model ${name} --prompt "Hello"\n`);
}
