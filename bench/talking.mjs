/** A copy of a GGUF file with a chat template of the Hermes kind, so that every endpoint can be asked. */
import { FileSource } from "../dist/checkpoint/file.js";
import { openGguf } from "../dist/checkpoint/gguf.js";
import { writeGguf } from "../dist/checkpoint/gguf-writer.js";

const template = `{%- if tools %}Tools: {{ tools | tojson }} <tool_call>
{% endif %}{%- for message in messages %}{{ message.content }}
{% endfor %}`;

export async function withTemplate(from, to) {
  const file = openGguf(new FileSource(from));
  const metadata = new Map();
  for (const [key, value] of file.metadata) metadata.set(key, { type: file.metadataTypes.get(key), value });
  metadata.set("tokenizer.chat_template", { type: "string", value: template });
  await writeGguf(to, metadata, [...file.tensors.values()], ({ name }) => file.bytes(name));
  file.close();
}
