/** The model in the form of Anthropic's API. */
import type { ServeContext } from "../context.ts";

export const modelInfo = ({ model, created }: ServeContext) => ({
  type: "model",
  id: model.name,
  display_name: model.name,
  created_at: new Date(created * 1000).toISOString(),
});

export const listModels = (context: ServeContext): Response =>
  Response.json({
    data: [modelInfo(context)],
    has_more: false,
    first_id: context.model.name,
    last_id: context.model.name,
  });
