// Somebody signs in by an OpenID Connect provider, for a client of the legacy kind, and confirms an operation there.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { ask, baseUrl, inChromium } from "./chromium.mjs";

const PASSWORD = "correct horse battery staple";
const provider = process.env.PROVIDER;

// Where the client waits for its token.
const arrived = Promise.withResolvers();
const trusted = Promise.withResolvers();
const client = createServer((request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  response.end("The client has it.");
  if (url.pathname === "/client") arrived.resolve(Object.fromEntries(url.searchParams));
  if (url.pathname === "/trusted") trusted.resolve(Object.fromEntries(url.searchParams));
});
await new Promise((resolve) => client.listen(Number(process.env.CLIENT_PORT), "127.0.0.1", resolve));
const clientSite = `http://127.0.0.1:${client.address().port}`;

await inChromium({ sites: [clientSite, provider] }, async ({ opened, shot }) => {
  const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf-8");
  const violations = [];
  const look = async (page, name) => {
    await shot(page, name);
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run());
    if (found.passes.length < 8) violations.push(`${page.url()}: axe saw nothing`);
    violations.push(...found.violations.map((one) => `${page.url()}: ${one.id}: ${one.help}`));
  };
  const page = await (await opened()).newPage();

  await page.goto(`${baseUrl}/_matrix/client/v3/login/sso/redirect?redirectUrl=${encodeURIComponent(`${clientSite}/client`)}`);
  await look(page, "ways");
  await page.getByRole("link", { name: "Continue with Company login" }).click();
  await page.getByRole("heading", { name: "One more step" }).waitFor();
  await look(page, "newcomer");
  const proposed = await page.getByLabel("User name").inputValue();
  await page.getByLabel("User name").fill("erika.m");
  await page.keyboard.press("Enter");
  await page.getByText("asks to act as").waitFor();
  await look(page, "consent");
  await page.getByRole("button", { name: "Continue" }).click();
  const { loginToken: token } = await arrived.promise;
  const login = await ask("POST", "/_matrix/client/v3/login", { body: { type: "m.login.token", token } });

  // Another browser, as a client opens one: a device is deleted.
  const path = "/_matrix/client/v3/delete_devices";
  const body = { devices: [login.device_id] };
  const asked = await ask("POST", path, { body, token: login.access_token, allowed: [401] });
  const other = await (await opened({ colorScheme: "dark" })).newPage();
  await other.goto(`${baseUrl}/_matrix/client/v3/auth/m.login.sso/fallback/web?session=${asked.session}`);
  await look(other, "was-it-you");
  await other.getByRole("button", { name: "Confirm with Company login" }).click();
  await other.getByRole("heading", { name: "Confirmed" }).waitFor();
  await look(other, "confirmed");
  const auth = { session: asked.session };
  const done = await ask("POST", path, { body: { ...body, auth }, token: login.access_token });

  // The answer of the provider is good once.
  await other.goto(`${baseUrl}/account/upstream/company/callback?state=x&code=y`).catch(() => undefined);
  await look(other, "refused");

  // A client that the operator trusts gets its token right after the form, which may not lead to other sites itself.
  const register = { username: "petra", password: PASSWORD, auth: { type: "m.login.dummy" }, inhibit_login: true };
  await ask("POST", "/_matrix/client/v3/register", { body: register });
  const third = await (await opened()).newPage();
  await third.goto(`${baseUrl}/_matrix/client/v3/login/sso/redirect?redirectUrl=${encodeURIComponent(`${clientSite}/trusted`)}`);
  await third.getByLabel("User name").fill("petra");
  await third.getByLabel("Password").fill(PASSWORD);
  await third.getByRole("button", { name: "Sign in" }).click();
  await third.getByText("The client has it.").waitFor();
  const given = { type: "m.login.token", token: (await trusted.promise).loginToken };
  const petra = await ask("POST", "/_matrix/client/v3/login", { body: given });

  return { proposed, trusted: petra.user_id, user: login.user_id, flows: asked.flows, done, violations };
});
client.close();
