/** Derivatives: the tape, which differentiates what a stream computes. */
export { type Recompute, type Taped, type TapeOptions, tape } from "./tape.ts";
