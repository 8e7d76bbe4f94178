// Hydrogen as built by `npm run build`, on an origin of its own: not the one of the server that it is a client of.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";

const FILES = join(import.meta.dirname, "..", "..", "..", "build", "hydrogen");
const TYPES = {
  ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml",
  ".wasm": "application/wasm", ".woff": "font/woff", ".woff2": "font/woff2",
};

/** What Hydrogen says in the console though all is well; it asks for what came before dehydrated devices, too. */
export const OF_HYDROGEN = [
  /^Service Worker registered$/,
  /status of 404 .*\/org\.matrix\.msc2697\.v2\/dehydrated_device/,
];

/** Serves it; returns its origin, what visits a page of it, and what ends it. */
export const serveHydrogen = async () => {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1"); // which leaves no ".." in it
    const name = pathname === "/" ? "index.html" : pathname;
    const body = await readFile(join(FILES, name)).catch(() => null);
    if (body === null) response.writeHead(404).end();
    else response.writeHead(200, { "Content-Type": TYPES[extname(name)] }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const visit = async (page, path) => {
    await page.goto(`${origin}${path}`);
    // Its service worker takes all requests over some time after the first page is there.
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  };
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { origin, visit, close };
};
