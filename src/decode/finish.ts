/** Why a generation ended, as data that every face reports the same way. */

/**
 * - `stop`: a stop string was written or a stop token drawn; `stop` is that string or token id
 * - `length`: the token budget or the context was used up
 * - `abort`: the caller ended it
 */
export type Finish =
  | { readonly reason: "stop"; readonly stop: string | number }
  | { readonly reason: "length" }
  | { readonly reason: "abort" };

export type FinishReason = Finish["reason"];
