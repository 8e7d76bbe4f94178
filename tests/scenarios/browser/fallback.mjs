// Confirms an operation on the fallback page of a stage, as a client opens it.
import { ask, baseUrl, inChromium } from "./chromium.mjs";

const PASSWORD = "correct horse battery staple";
const V3 = "/_matrix/client/v3";

const auth = { type: "m.login.dummy" };
const body = { username: "frieda", password: PASSWORD, auth };
const { device_id, access_token: token } = await ask("POST", `${V3}/register`, { body });
const path = `${V3}/devices/${device_id}`;
const { session } = await ask("DELETE", path, { body: {}, token, allowed: [401] });

await inChromium({ expected: [/status of 403 .*\/fallback\/web/] }, async ({ opened, shot }) => {
  const context = await opened();
  const client = await context.newPage();
  await client.goto(`${baseUrl}/`);
  await client.evaluate(() => {
    addEventListener("message", (event) => (window.heard = event.data));
  });
  const popup = context.waitForEvent("page");
  const address = `${baseUrl}${V3}/auth/m.login.password/fallback/web?session=${session}`;
  await client.evaluate((url) => void window.open(url), address);
  const page = await popup;

  await page.getByLabel("Password").fill("wrong");
  await shot(page, "password");
  await page.getByRole("button", { name: "Continue" }).click();
  const refusal = await page.getByRole("alert").innerText();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Continue" }).click();
  const heading = await page.getByRole("heading").innerText();
  await page.getByText("You can close this page").waitFor();
  await shot(page, "done");
  const heard = await (await client.waitForFunction(() => window.heard)).jsonValue();
  await ask("DELETE", path, { body: { auth: { session } }, token });
  const after = await ask("GET", `${V3}/account/whoami`, { token, allowed: [401] });
  return { refusal, heading, heard, after: after.errcode };
});
