/**
 * Chat templates that write tools, calls and results in the forms that published ones write them, made for tests: short,
 * and with the checks that those have.
 */
const turns = (body: string): string =>
  `{%- for message in messages %}${body}{%- endfor %}{%- if add_generation_prompt %}{{ '<|assistant|>' }}{%- endif %}`;

const user = "{%- if message.role in ['system', 'user'] %}{{ '<|' + message.role + '|>' + message.content }}";
const jsonTools =
  "{%- if tools %}{%- for tool in tools %}{{ '[TOOL]' }}{{ tool | tojson }}{%- endfor %}{%- endif %}";

export const templates = {
  qwen3: `${jsonTools}${turns(`${user}
{%- elif message.role == 'assistant' %}{{ '<|assistant|>' }}
  {%- if message.reasoning_content %}{{ '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}{{ message.content }}
  {%- for call in message.tool_calls or [] %}{{ '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}{{ call.function.arguments | tojson }}{{ '}\\n</tool_call>' }}{%- endfor %}
{%- else %}{{ '<tool_response>\\n' + message.content + '\\n</tool_response>' }}{%- endif %}`)}
{%- if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif %}`,
  llama3: `${jsonTools}${turns(`${user}
{%- elif message.tool_calls %}{{ '<|assistant|>{"name": "' + message.tool_calls[0].function.name + '", "parameters": ' }}{{ message.tool_calls[0].function.arguments | tojson }}{{ '}' }}
{%- elif message.role == 'tool' %}{{ '<|ipython|>' + message.content }}{%- else %}{{ '<|assistant|>' + message.content }}{%- endif %}`)}`,
  mistral: `${turns(`${user}
{%- elif message.tool_calls %}{{ '[TOOL_CALLS] [' }}{%- for call in message.tool_calls %}
  {%- if call.id | length != 9 %}{{ raise_exception('ids must have 9 characters') }}{%- endif %}
  {{- {"name": call.function.name, "arguments": call.function.arguments, "id": call.id} | tojson }}{{ ', ' if not loop.last }}{%- endfor %}{{ ']' }}
{%- elif message.role == 'tool' %}
  {%- if message.tool_call_id | length != 9 %}{{ raise_exception('ids must have 9 characters') }}{%- endif %}
  {{- '[TOOL_RESULTS] {"call_id": "' + message.tool_call_id + '", "content": ' + message.content + '}[/TOOL_RESULTS]' }}
{%- else %}{{ message.content }}{%- endif %}`)}{{ tools | tojson if tools }}`,
  mistralNamed: `${turns(`${user}
{%- elif message.tool_calls %}{%- for call in message.tool_calls %}{{ '[TOOL_CALLS]' + call.function.name + '[ARGS]' }}{{ call.function.arguments | tojson }}{%- endfor %}
{%- elif message.role == 'tool' %}{{ '[TOOL_RESULTS]' + message.content + '[/TOOL_RESULTS]' }}
{%- else %}{{ message.content }}{%- endif %}`)}{{ tools | tojson if tools }}`,
  deepseekV3: turns(`${user}
{%- elif message.tool_calls %}
  {%- if message.content is none %}{{ '<|assistant|>' }}{%- else %}{{ '<|assistant|>' + message.content }}{%- endif %}{{ '<｜tool▁calls▁begin｜>' }}
  {%- for call in message.tool_calls %}{{ '<｜tool▁call▁begin｜>' + call['type'] + '<｜tool▁sep｜>' + call['function']['name'] + '\\n' + '\`\`\`json' + '\\n' + call['function']['arguments'] + '\\n' + '\`\`\`' + '<｜tool▁call▁end｜>' }}{%- endfor %}{{ '<｜tool▁calls▁end｜>' }}
{%- elif message.role == 'tool' %}{{ '<｜tool▁output▁begin｜>' + message.content + '<｜tool▁output▁end｜>' }}
{%- else %}{{ message.content.split('</think>')[-1] }}{%- endif %}`),
  deepseekV31: turns(`${user}
{%- elif message.tool_calls %}{{ '<|assistant|><｜tool▁calls▁begin｜>' }}
  {%- for call in message.tool_calls %}{{ '<｜tool▁call▁begin｜>' + call['function']['name'] + '<｜tool▁sep｜>' + call['function']['arguments'] + '<｜tool▁call▁end｜>' }}{%- endfor %}{{ '<｜tool▁calls▁end｜>' }}
{%- elif message.role == 'tool' %}{{ '<｜tool▁output▁begin｜>' + message.content + '<｜tool▁output▁end｜>' }}
{%- else %}{{ message.content }}{%- endif %}`),
  functionGemma: `${jsonTools}${turns(`${user}
{%- elif message.tool_calls %}{%- for call in message.tool_calls %}{{ '<start_function_call>call:' + call.function.name + '{' }}{%- for key, value in call.function.arguments | dictsort %}{{ key + ':' }}{{ '<escape>' + value + '<escape>' if value is string else value | tojson }}{{ ',' if not loop.last }}{%- endfor %}{{ '}<end_function_call>' }}{%- endfor %}
{%- elif message.role == 'tool' %}{{ '<start_function_response>response:' + message.name + '{value:<escape>' + message.content + '<escape>}<end_function_response>' }}
{%- else %}{{ message.content }}{%- endif %}`)}`,
  gemma4: `${jsonTools}${turns(`${user}
{%- elif message.tool_calls %}{%- for call in message.tool_calls %}{{ '<|tool_call>call:' + call.function.name + '{' }}{%- for key, value in call.function.arguments | dictsort %}{{ key + ':' }}{{ '<|"|>' + value + '<|"|>' if value is string else value | tojson }}{{ ',' if not loop.last }}{%- endfor %}{{ '}<tool_call|>' }}{%- endfor %}
{%- elif message.role == 'tool' %}{{ '<|tool_response>response:' + message.name + '{value:<|"|>' + message.content + '<|"|>}<tool_response|>' }}
{%- else %}{{ message.content }}{%- endif %}`)}`,
  qwenCoder: `{%- if tools %}{%- for tool in tools %}{{ tool | tojson }}{%- endfor %}{{ '<tool_call>\\n<function=name>\\n<parameter=key>\\nvalue' }}{%- endif %}${turns(`${user}
{%- elif message.tool_calls %}{%- for call in message.tool_calls %}{{ '<tool_call>\\n<function=' + call.function.name + '>\\n' }}{%- for key, value in call.function.arguments | items %}{{ '<parameter=' + key + '>\\n' }}{{ value | string }}{{ '\\n</parameter>\\n' }}{%- endfor %}{{ '</function>\\n</tool_call>' }}{%- endfor %}
{%- elif message.role == 'tool' %}{{ '<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- else %}{{ message.content }}{%- endif %}`)}`,
} as const;

export type TemplateName = keyof typeof templates;

/** Marks that the published vocabularies have as special tokens, or that tests take for such. */
export const specialMarks: readonly string[] = [
  ...["[TOOL_CALLS]", "[ARGS]", "<start_function_call>", "<end_function_call>", "<escape>"],
  ...["<|tool_call>", "<tool_call|>", '<|"|>', "<|assistant|>"],
  ...[
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
  ],
];
