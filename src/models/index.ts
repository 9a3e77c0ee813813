/** Architectures: which there are, and how a checkpoint becomes a model. */
export type { Architecture } from "./architecture.ts";
export { configFromGguf } from "./gguf-config.ts";
export { type GgufContents, type GgufWeight, ggufContents } from "./gguf-write.ts";
export { type LoadedModel, loadModel, loadTrainable, type TrainableModel } from "./load.ts";
export { ggufName } from "./names.ts";
export { architectureOf, architectureOfGguf, architectures } from "./registry.ts";
