import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

// The worker must be at the root of the site, under its own name; the SDK does not export it.
const serviceWorker = {
  name: "service-worker-of-hydrogen",
  generateBundle() {
    const source = readFileSync(new URL("../node_modules/hydrogen-view-sdk/lib-build/sw.js", import.meta.url));
    this.emitFile({ type: "asset", fileName: "sw.js", source });
  },
};

export default defineConfig({
  base: "./",
  logLevel: "error",
  build: {
    outDir: "../../../../build/hydrogen",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the SDK wants addresses of its assets
    chunkSizeWarningLimit: 5_000,
    rollupOptions: { input: { index: "hydrogen/index.html", register: "hydrogen/register.html" } },
  },
  plugins: [serviceWorker],
});
