/**
 * jax-js on its WebAssembly backend, as a child process: the products of fovea-product.mjs. Needs Node 21
 * (`navigator`).
 */
import { defaultDevice, init, numpy } from "@jax-js/jax";
import { numbers, transposed } from "../bert.mjs";
import { serve } from "../child.mjs";
import { small } from "../tokens.mjs";

let shape;
/** Computes the product of x and what is there already; `.ref` keeps an operand for the next. */
let product;
const input = (seed) => numpy.array(small(shape[0] * shape[1], seed), { shape });

serve({
  async open({ n, k, m, gradient }) {
    await init("wasm");
    defaultDevice("wasm");
    shape = gradient ? [k, n] : [n, k];
    const values = gradient ? small(k * m, 1) : transposed(numbers("product", m * k), m, k);
    const w = numpy.array(values, { shape: [k, m] });
    product = gradient
      ? (x) => numpy.matmul(numpy.transpose(x.ref), w.ref)
      : (x) => numpy.matmul(x.ref, w.ref);
    const y = await product(input(0)).data();
    return { device: "wasm, 1 thread", sample: [...y.slice(0, 8)] };
  },

  /** Milliseconds of one product, the mean of `repeat`. */
  async time({ repeat, seed }) {
    const x = input(seed);
    const start = performance.now();
    for (let i = 0; i < repeat; i++) {
      const y = product(x);
      await y.blockUntilReady();
      y.dispose();
    }
    return { run: (performance.now() - start) / repeat };
  },
});
