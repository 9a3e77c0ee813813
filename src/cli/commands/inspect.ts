/** `fovea inspect`: what a checkpoint holds, without loading it. */
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { jsonFlag } from "../flags.ts";
import { print, printJson } from "../io.ts";

export const inspect: AddCommand = (program, context) => {
  const command = program
    .command("inspect")
    .argument("<model>", "folder, .gguf file, or ORG/NAME that was pulled")
    .description("Show what a checkpoint holds: settings, tokenizer, chat template, tensors.");
  jsonFlag(command)
    .addHelpText("after", examples("inspect ./model.gguf", "inspect Qwen/Qwen2.5-0.5B --json"))
    .action((model: string, flags: { json?: boolean }) => run(model, flags.json === true, context));
};

async function run(model: string, json: boolean, { io, services }: CommandContext): Promise<void> {
  const { factsOf, factsText } = await import("../facts.ts");
  const inspected = await services.inspect(model);
  try {
    const facts = factsOf(inspected);
    await (json ? printJson(io.stdout, facts) : print(io.stdout, factsText(facts)));
  } finally {
    inspected.checkpoint.close();
  }
}
