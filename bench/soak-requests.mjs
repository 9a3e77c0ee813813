/** The requests of the soak, one of each kind that the server has, and how to see that an answer is whole. */

const openings = [
  "It was a bright, cold morning",
  "The captain",
  "Of all the towns on that coast",
  "She wrote",
];
/** Numbers that follow from a seed (Knuth's multiplicative hash). */
const pick = (seed, most) => ((Math.imul(seed, 2654435761) >>> 8) % most) + 1;
const prompt = (seed) => `${openings[seed % 4]} ${"and then ".repeat(pick(seed + 1, 60))}`;
const messages = (seed) => [{ role: "user", content: prompt(seed) }];
const city = {
  type: "object",
  properties: { city: { enum: ["Bern", "Rome"] } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "weather", parameters: city } }];
const length = (seed) => pick(seed + 2, seed % 5 === 0 ? 300 : 60);

const ask = (name, make, more = {}) => ({ name, make, ...more });

export const asks = [false, true].flatMap((stream) => {
  const how = stream ? "stream" : "whole";
  return [
    ask(`chat, ${how}`, (seed) => ({
      path: "/v1/chat/completions",
      body: { messages: messages(seed), max_tokens: length(seed), seed, stream },
    })),
    ask(`chat, schema, ${how}`, (seed) => ({
      path: "/v1/chat/completions",
      body: {
        ...{ messages: messages(seed), max_tokens: 200, seed, stream },
        response_format: { type: "json_schema", json_schema: { name: "city", schema: city } },
      },
    })),
    ask(`chat, tool, ${how}`, (seed) => ({
      path: "/v1/chat/completions",
      body: {
        messages: messages(seed),
        max_tokens: 200,
        tools,
        tool_choice: "required",
        parallel_tool_calls: false,
        stream,
      },
    })),
    ask(`completions, n 3, ${how}`, (seed) => ({
      path: "/v1/completions",
      body: { prompt: prompt(seed), max_tokens: length(seed), n: 3, logprobs: 2, seed, stream },
    })),
    ask(`responses, ${how}`, (seed) => ({
      path: "/v1/responses",
      body: { input: prompt(seed), max_output_tokens: length(seed), store: false, stream },
    })),
    ask(`Anthropic, ${how}`, (seed) => ({
      path: "/v1/messages",
      body: { messages: messages(seed), max_tokens: length(seed), stream },
    })),
    ask(`Ollama chat, ${how}`, (seed) => ({
      path: "/api/chat",
      body: { messages: messages(seed), options: { num_predict: length(seed), seed }, stream },
    })),
    ask(`Ollama generate, ${how}`, (seed) => ({
      path: "/api/generate",
      body: { prompt: prompt(seed), options: { num_predict: length(seed) }, stream },
    })),
    ask(`chat, left, ${how}`, (seed) => ({
      path: "/v1/chat/completions",
      body: { messages: messages(seed), max_tokens: 600, ignore_eos: true, stream },
      leaves: pick(seed, 200),
    })),
    ask(
      `refused, ${how}`,
      (seed) => ({
        path: ["/v1/chat/completions", "/v1/messages", "/api/chat"][seed % 3],
        body: { messages: messages(seed), max_tokens: 5, colour: "red", stream },
      }),
      { refused: true },
    ),
  ];
});

/** Whether an answer is there to its end, by what its dialect puts there. */
export function complete(path, { stream, n = 1 }, text) {
  const count = (pattern) => text.match(pattern)?.length ?? 0;
  if (path === "/v1/responses")
    return stream
      ? /event: response\.(completed|incomplete)\n/.test(text)
      : /"status":"(completed|incomplete)"/.test(text);
  if (path === "/v1/messages")
    return stream ? text.includes("event: message_stop") : /"stop_reason":"/.test(text);
  if (path.startsWith("/api/")) return /"done":true/.test(text) && /"done_reason":"(stop|length)"/.test(text);
  const ends = count(/"finish_reason":"(stop|length|tool_calls)"/g);
  return ends === n && (!stream || text.endsWith("data: [DONE]\n\n"));
}
