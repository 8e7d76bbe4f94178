// Confirms an operation on the fallback page of a stage in headless Chromium, as a client opens it; prints JSON.
// Usage: node fallback.mjs BASE_URL DIRECTORY_FOR_SCREENSHOTS
import binary from "@sparticuz/chromium";
import { chromium } from "playwright-core";

const [baseUrl, screenshots] = process.argv.slice(2);
const PASSWORD = "correct horse battery staple";
const V3 = `${baseUrl}/_matrix/client/v3`;

const ask = async (method, path, body, token) => {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(V3 + path, { method, headers, body: JSON.stringify(body) });
  return { status: response.status, ...(await response.json()) };
};

const auth = { type: "m.login.dummy" };
const user = await ask("POST", "/register", { username: "frieda", password: PASSWORD, auth });
const path = `/devices/${user.device_id}`;
const { session } = await ask("DELETE", path, {}, user.access_token);

const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
const browser = await chromium.launch({
  executablePath: await binary.executablePath(), headless: true, args: [...binary.args, ...quiet],
});
const context = await browser.newContext();
context.setDefaultTimeout(15_000);
const complaints = [];
context.on("request", (request) => {
  if (!request.url().startsWith(baseUrl)) complaints.push(`asked for ${request.url()}`);
});
const client = await context.newPage();
await client.goto(`${baseUrl}/`);
await client.evaluate(() => {
  window.heard = new Promise((resolve) => addEventListener("message", (event) => resolve(event.data)));
});
const popup = context.waitForEvent("page");
await client.evaluate((url) => void window.open(url), `${V3}/auth/m.login.password/fallback/web?session=${session}`);
const page = await popup;
page.on("console", (message) => complaints.push(message.text()));
const shot = (name) => page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true });

await page.getByLabel("Password").fill("wrong");
await shot("fallback-password");
await page.getByRole("button", { name: "Continue" }).click();
const refusal = await page.getByRole("alert").innerText();
complaints.splice(0); // that the answer was no 200
await page.getByLabel("Password").fill(PASSWORD);
await page.getByRole("button", { name: "Continue" }).click();
const heading = await page.getByRole("heading").innerText();
await page.getByText("You can close this page").waitFor();
await shot("fallback-done");
const heard = await client.evaluate(() => window.heard);
const done = await ask("DELETE", path, { auth: { session } }, user.access_token);
const after = await ask("GET", "/account/whoami", undefined, user.access_token);
await browser.close();
process.stdout.write(`${JSON.stringify({ refusal, heading, heard, done: done.status, after: after.errcode, complaints })}\n`);
