/** What the server serves. */
import { RequestFailed } from "./failure.ts";
import { get } from "./http.ts";

export interface ModelFacts {
  readonly id: string;
  /** Whether it has a chat template; a server that does not say is taken at its word that it chats. */
  readonly chat: boolean;
  readonly contextLength: number | undefined;
  readonly parameters: number | undefined;
  readonly device: string | undefined;
}

interface ModelObject {
  readonly id: string;
  readonly chat?: boolean;
  readonly context_length?: number;
  readonly parameters?: number;
  readonly device?: string;
}

export async function listModels(): Promise<readonly ModelFacts[]> {
  const { data } = (await (await get("/v1/models")).json()) as { data?: readonly ModelObject[] };
  if (data === undefined || data.length === 0)
    throw new RequestFailed({ message: "The server serves no model." });
  return data.map(({ id, chat = true, context_length, parameters, device }) => ({
    id,
    chat,
    contextLength: context_length,
    parameters,
    device,
  }));
}
