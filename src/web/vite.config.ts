/** Builds the page into dist/web. `npx vite -c src/web/vite.config.ts` serves it beside a `fovea serve`. */
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  build: { outDir: "../../dist/web", emptyOutDir: true, target: "es2022" },
  server: { proxy: { "/v1": "http://127.0.0.1:8080", "/engine": "http://127.0.0.1:8080" } },
});
