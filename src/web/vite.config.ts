/** Builds the page into dist/web. `npx vite src/web` serves it while it is worked on, beside a `fovea serve`. */
import { defineConfig } from "vite";

export default defineConfig({
  build: { outDir: "../../dist/web", emptyOutDir: true, target: "es2022" },
  server: { proxy: { "/v1": "http://127.0.0.1:8080" } },
});
