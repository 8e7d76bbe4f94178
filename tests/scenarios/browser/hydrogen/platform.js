import { Platform } from "hydrogen-view-sdk";
import sandbox from "hydrogen-view-sdk/download-sandbox.html?url";
import worker from "hydrogen-view-sdk/main.js?url";
import olmJs from "@matrix-org/olm/olm.js?url";
import olmLegacy from "@matrix-org/olm/olm_legacy.js?url";
import olmWasm from "@matrix-org/olm/olm.wasm?url";
import "hydrogen-view-sdk/theme-element-light.css";

/** Hydrogen's ground: its storage, crypto and requests. */
export const platform = new Platform({
  container: document.querySelector("#app"),
  config: {}, // no homeserver is the default: people type the address of theirs
  assetPaths: {
    downloadSandbox: sandbox,
    worker,
    olm: { wasm: olmWasm, legacyBundle: olmLegacy, wasmBundle: olmJs },
    serviceWorker: "sw.js",
  },
});
