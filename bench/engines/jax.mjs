/** jax-js on its WebAssembly backend, as a child process: y [n, m] = x [n, k] · w [k, m]. Needs Node 21 (`navigator`). */
import { defaultDevice, init, numpy } from "@jax-js/jax";
import { numbers, transposed } from "../bert.mjs";
import { serve } from "../child.mjs";
import { small } from "../tokens.mjs";

let w;
let shape;

/** `.ref` keeps an operand for the next product. */
const product = (x) => numpy.matmul(x.ref, w.ref);
const rows = (seed) => numpy.array(small(shape[0] * shape[1], seed), { shape });

serve({
  async open({ n, k, m }) {
    await init("wasm");
    defaultDevice("wasm");
    shape = [n, k];
    w = numpy.array(transposed(numbers("product", m * k), m, k), { shape: [k, m] });
    const x = rows(0);
    const y = await product(x).data();
    return { device: "wasm, 1 thread", sample: [...y.slice(0, 8)] };
  },

  /** Milliseconds of one product, the mean of `repeat`. */
  async time({ repeat, seed }) {
    const x = rows(seed);
    const start = performance.now();
    for (let i = 0; i < repeat; i++) {
      const y = product(x);
      await y.blockUntilReady();
      y.dispose();
    }
    return { run: (performance.now() - start) / repeat };
  },
});
