/** All cases, in the order in which they run: each knows its own peers and can be run alone by its name. */
import { attention } from "./attention.mjs";
import { batch } from "./batch.mjs";
import { bf16 } from "./bf16.mjs";
import { clients } from "./clients.mjs";
import { decode } from "./decode.mjs";
import { encoder } from "./encoder.mjs";
import { memory } from "./memory.mjs";
import { packing } from "./packing.mjs";
import { prefix } from "./prefix.mjs";
import { products } from "./products.mjs";
import { shared } from "./shared.mjs";
import { small } from "./small.mjs";
import { start } from "./start.mjs";
import { training } from "./training.mjs";
import { wasm } from "./wasm.mjs";

/**
 * A case has a name, a title, a line about what it measures, and `plans(options)`: an async generator of plans (see
 * measure.mjs) or of `{ label, skipped }` with a reason.
 */
export const cases = [
  decode,
  batch,
  bf16,
  clients,
  prefix,
  packing,
  shared,
  encoder,
  small,
  attention,
  memory,
  start,
  wasm,
  products,
  training,
];
