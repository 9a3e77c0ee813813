/** All cases, in the order in which they run: each knows its own peers and can be run alone by its name. */
import { attention } from "./attention.mjs";
import { batch } from "./batch.mjs";
import { decode } from "./decode.mjs";
import { encoder } from "./encoder.mjs";
import { memory } from "./memory.mjs";
import { products } from "./products.mjs";
import { small } from "./small.mjs";
import { start } from "./start.mjs";
import { training } from "./training.mjs";
import { wasm } from "./wasm.mjs";

/**
 * A case has a name, a title, a line about what it measures, and `plans(options)`: an async generator of plans (see
 * measure.mjs) or of `{ label, skipped }` with a reason.
 */
export const cases = [decode, batch, encoder, small, attention, memory, start, wasm, products, training];
