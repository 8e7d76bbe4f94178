// A site of static files, on a port of its own, as a browser client of ours would be served: another origin than the server's.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";

const TYPES = {
  ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml",
  ".wasm": "application/wasm", ".woff": "font/woff", ".woff2": "font/woff2",
};

/** Serves the files of `directory`; returns the origin, and what ends it. */
export const serve = async (directory) => {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1"); // which leaves no ".." in it
    const name = pathname === "/" ? "index.html" : pathname;
    const body = await readFile(join(directory, name)).catch(() => null);
    if (body === null) response.writeHead(404).end();
    else response.writeHead(200, { "Content-Type": TYPES[extname(name)] }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
};
