/** llama.cpp takes and refuses the same texts by the same GBNF. Needs the packages of bench/. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { GrammarCompiler } from "../../src/decode/grammar/index.ts";
import { accepts, sample, smallVocabulary } from "../support/grammars.ts";
import { Random } from "../support/random.ts";

const peer = fileURLToPath(new URL("../../bench/node_modules/node-llama-cpp/dist/index.js", import.meta.url));

/** The part of node-llama-cpp that is used here; its own types need its options of the compiler. */
interface Peer {
  getLlama(options: object): Promise<{ createGrammar(options: { grammar: string }): Promise<PeerGrammar> }>;
}
interface PeerGrammar {
  _testText(text: string): boolean;
}

const grammars: Readonly<Record<string, string>> = {
  list: 'root ::= "- " item ("\\n- " item)*\nitem ::= [a-zé]+ | [0-9]{2,3}',
  nested: 'root ::= "(" root ")" root | "[" root "]" | ""',
  calculation: 'root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | "(" expr ")" | "-" term',
  json: `root ::= object
value ::= object | array | string | number | ("true" | "false" | "null")
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\\"" ( [^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,15})? ws
ws ::= | " " | "\\n" [ \\t]{0,20}`,
  sets: 'root ::= [^a-c]{1,3} "\\x41"? [\\]\\-^]* | "\\u00e9🌍" .',
  ambiguous: 'root ::= ("a" | "aa" | "b"?)+ "c"',
};

describe.skipIf(!existsSync(peer))("llama.cpp on GBNF", () => {
  let llama: Awaited<ReturnType<Peer["getLlama"]>>;
  beforeAll(async () => {
    const { getLlama } = (await import(peer)) as Peer;
    llama = await getLlama({ gpu: false, build: "never", logLevel: "disabled" });
  });

  it.each(Object.keys(grammars))("%s", async (name) => {
    const gbnf = grammars[name]!;
    const theirs = await llama.createGrammar({ grammar: gbnf });
    const ours = new GrammarCompiler(smallVocabulary).compile({ gbnf });
    const random = new Random(2);
    let [taken, refused] = [0, 0];
    for (let i = 0; i < 150; i++) {
      const bytes = sample(ours, smallVocabulary, random, 20);
      if (bytes === undefined) continue;
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      const characters = [...text];
      const at = random.int(0, characters.length);
      const near = [...characters];
      near.splice(at, random.int(0, 2), ...[random.pick(["a", "(", "]", '"', "1", "é", "\n", ",", ""])]);
      for (const candidate of [text, near.join(""), characters.slice(0, at).join("")]) {
        if (candidate.includes("\0")) continue; // their texts end there
        const verdict = accepts(ours, candidate);
        expect(verdict, JSON.stringify(candidate)).toBe(theirs._testText(candidate));
        if (verdict) taken++;
        else refused++;
      }
    }
    expect(taken).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(20);
  });
});
