/**
 * Chat templates of published checkpoints, against texts that Jinja or transformers made.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ChatTemplate } from "../../src/checkpoint/tokenizer/index.ts";
import { haveShared, shared } from "../support/shared.ts";

interface TemplateCase {
  name: string;
  chat_template: string;
  data: { messages: unknown[]; tools?: unknown[]; add_generation_prompt?: boolean; [name: string]: unknown };
  target: string;
}

interface UnitCase {
  name: string;
  template: string;
  context: Record<string, unknown>;
  expected: string;
  needs_function: boolean;
}

const read = (path: string): unknown => JSON.parse(readFileSync(shared(path), "utf8"));
const templates = haveShared
  ? (read("templates/chat_template_cases.json") as { frozen_time: string; cases: TemplateCase[] })
  : { frozen_time: "", cases: [] };
const units = haveShared ? (read("templates/jinja_unit_cases.json") as UnitCase[]) : [];

describe.skipIf(!haveShared)("chat templates of published checkpoints", () => {
  test.each(templates.cases)("$name", ({ chat_template, data, target }) => {
    const { messages, tools, add_generation_prompt, ...variables } = data;
    const template = new ChatTemplate(chat_template, {}, "tokenizer_config.json", "chat_template");
    const text = template.render(messages, {
      ...(tools === undefined ? {} : { tools }),
      addGenerationPrompt: add_generation_prompt ?? false,
      now: new Date(templates.frozen_time),
      variables,
    });
    expect(text).toBe(target);
  });
});

describe.skipIf(!haveShared)("Jinja, piece by piece", () => {
  test.each(units.filter(({ needs_function }) => !needs_function))(
    "$name",
    ({ template, context, expected }) => {
      const { messages = [], ...variables } = context;
      const made = new ChatTemplate(template, {}, "case", "template");
      expect(made.render(messages as unknown[], { variables })).toBe(expected);
    },
  );
});
