/**
 * Calls between DeepSeek's marks. V3 and R1 write a type, the name and fenced JSON; V3.1 the name and JSON. Their
 * templates do not show tools to the model; what it is told then is what the card of V3.1 says.
 */
import type { Grammar } from "../grammar/index.ts";
import { argumentsGrammar, callsGrammar, DEFAULTS, type ToolDialect } from "./dialect.ts";

export const BEGIN = "<｜tool▁calls▁begin｜>";
const END = "<｜tool▁calls▁end｜>";
const CALL = "<｜tool▁call▁begin｜>";
const SEPARATOR = "<｜tool▁sep｜>";
const CALL_END = "<｜tool▁call▁end｜>";
const FENCE = "```";

export function deepseek(template: string): ToolDialect {
  const fenced = template.includes(`${FENCE}json`);
  const head = (name: string): string => (fenced ? `${name}\n${FENCE}json\n` : name);
  return {
    ...DEFAULTS,
    name: fenced ? "deepseek-v3" : "deepseek-v3.1",
    opens: [BEGIN],
    marks: [BEGIN, END, CALL, SEPARATOR, CALL_END],
    argumentsAsText: !/arguments['"\]]*\s*\|\s*tojson/.test(template),
    *read(cursor, sink) {
      let count = 0;
      for (;;) {
        yield* cursor.space();
        if (!(yield* cursor.literal(CALL))) break;
        let name = "";
        yield* cursor.until(SEPARATOR, (text) => (name += text));
        if (fenced) {
          name = yield* cursor.while(/[^\n]/);
          yield* cursor.space();
          yield* cursor.literal(`${FENCE}json`);
        }
        yield* cursor.space();
        if (sink.find(name) === undefined || cursor.rest === "") return count > 0;
        count++;
        sink.begin(name);
        yield* cursor.json((text) => sink.arguments(text));
        yield* cursor.space();
        if (fenced) yield* cursor.literal(FENCE);
        yield* cursor.literal(CALL_END);
      }
      yield* cursor.literal(END);
      return count > 0;
    },
    grammar(tools, parallel, mark) {
      const calls = tools.map(
        ({ name, parameters }): Grammar => ({
          sequence: [
            ...[mark(CALL), ...(fenced ? [{ text: "function" }] : [{ text: name }]), mark(SEPARATOR)],
            ...(fenced ? [{ text: head(name) }] : []),
            argumentsGrammar(parameters),
            ...(fenced ? [{ text: `\n${FENCE}` }] : []),
            mark(CALL_END),
          ],
        }),
      );
      const between = parallel ? { text: fenced ? "\n" : "" } : undefined;
      return { sequence: [mark(BEGIN), callsGrammar(calls, between), mark(END)] };
    },
    describe(tools) {
      const type = fenced ? "function" : "tool_name";
      const call = `${CALL}${type}${SEPARATOR}${fenced ? head("tool_name") : ""}arguments${fenced ? `\n${FENCE}` : ""}${CALL_END}`;
      return [
        "## Tools",
        "You can call these tools, each with arguments that fit its parameters:",
        ...tools.map((tool) => JSON.stringify((tool as { function: unknown }).function)),
        `To call tools, write exactly this, with JSON as arguments and one part from ${CALL} to ${CALL_END} for each call:`,
        `${BEGIN}${call}${END}`,
      ].join("\n");
    },
  };
}
