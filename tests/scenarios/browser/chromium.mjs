// What all programs here share: Chromium, what its pages may do, their screenshots, and what is told in the end.
// Each is called as: node PROGRAM.mjs BASE_URL DIRECTORY_FOR_SCREENSHOTS
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const [baseUrl, screenshots] = process.argv.slice(2);
const UNPACKED = join(import.meta.dirname, "node_modules", ".chromium");
export const STEP_MS_MAX = 30_000;

// Root cannot have a sandbox, and a container may allow nobody the namespaces that one is made of.
const hasSandbox = () => process.getuid() !== 0 && spawnSync("unshare", ["--user", "true"]).status === 0;

// Not the arguments that its packager suggests: those switch off what keeps one site from reading another (CORS too).
const launch = () =>
  chromium.launch({
    executablePath: join(UNPACKED, "chromium"),
    headless: true,
    chromiumSandbox: hasSandbox(),
    env: {
      ...process.env,
      LD_LIBRARY_PATH: join(UNPACKED, "al2023", "lib"),
      FONTCONFIG_PATH: join(UNPACKED, "fonts"),
    },
  });

/**
 * Runs `program` with a fresh browser and prints what it returns as one line of JSON, with `complaints`: what pages
 * wrote to their console, errors that nobody caught, and addresses asked for outside of `sites`, all but the `expected`.
 */
export const inChromium = async ({ sites = [], expected = [] }, program) => {
  const browser = await launch();
  const complaints = [];
  let shots = 0;

  const shot = async (page, name) => {
    shots += 1;
    await page.screenshot({ path: join(screenshots, `${String(shots).padStart(2, "0")}-${name}.png`), fullPage: true });
  };
  const complain = (text) => {
    if (!expected.some((one) => one.test(text))) complaints.push(text);
  };
  const watch = (context) => {
    context.setDefaultTimeout(STEP_MS_MAX);
    context.on("console", (message) => {
      const failed = message.text().startsWith("Failed to load resource");
      complain(failed ? `${message.text()}: ${message.location().url}` : message.text());
    });
    context.on("weberror", (error) => complain(`not caught: ${error.error()}`));
    context.on("request", (request) => {
      const { origin } = new URL(request.url());
      if (![baseUrl, ...sites].includes(origin)) complain(`asked for ${request.url()}`);
    });
    return context;
  };
  const opened = async (options) => watch(await browser.newContext(options));

  try {
    const seen = await program({ opened, shot });
    process.stdout.write(`${JSON.stringify({ ...seen, complaints })}\n`);
  } catch (error) {
    console.error(`${error.stack}\nComplaints: ${JSON.stringify(complaints, null, 1)}`);
    process.exitCode = 1;
    const pages = browser.contexts().flatMap((context) => context.pages());
    await Promise.allSettled(pages.map((page) => shot(page, "failure")));
  } finally {
    await browser.close();
  }
};

/** Asks the server without a browser; fails if the answer has none of the statuses that are `allowed`. */
export const ask = async (method, path, { body, token, allowed = [200] } = {}) => {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const signal = AbortSignal.timeout(STEP_MS_MAX);
  const response = await fetch(`${baseUrl}${path}`, { method, headers, signal, body: body && JSON.stringify(body) });
  const text = await response.text();
  if (!allowed.includes(response.status)) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
};
