// Goes through the pages of OAuth 2.0, as a person would.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { STEP_MS_MAX, baseUrl, inChromium } from "./chromium.mjs";

const PASSWORD = "correct horse battery staple";
const DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code";
const scopeOf = (device) => `urn:matrix:client:api:* urn:matrix:client:device:${device}`;

const ask = async (url, options) =>
  (await fetch(url, { signal: AbortSignal.timeout(STEP_MS_MAX), ...options })).json();
const post = (url, fields) => ask(url, { method: "POST", body: new URLSearchParams(fields) });
const whoami = (token) =>
  ask(`${baseUrl}/_matrix/client/v3/account/whoami`, { headers: { Authorization: `Bearer ${token}` } });

const metadata = await ask(`${baseUrl}/_matrix/client/v1/auth_metadata`);
const { client_id } = await ask(metadata.registration_endpoint, {
  method: "POST",
  body: JSON.stringify({
    client_name: "Browser test",
    client_uri: "https://example.com/",
    application_type: "native",
    redirect_uris: ["http://127.0.0.1/callback"],
    grant_types: ["authorization_code", "refresh_token", DEVICE_CODE],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  }),
});

// Where the client waits for its code.
const arrived = Promise.withResolvers();
const callback = createServer((request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  response.end("The client has it.");
  if (url.pathname === "/callback") arrived.resolve(Object.fromEntries(url.searchParams));
});
await new Promise((resolve) => callback.listen(0, "127.0.0.1", resolve));
const callbackSite = `http://127.0.0.1:${callback.address().port}`;
const redirect_uri = `${callbackSite}/callback`;

const verifier = randomBytes(32).toString("base64url");
const authorize = (changes) =>
  `${metadata.authorization_endpoint}?` +
  new URLSearchParams({
    client_id, redirect_uri, response_type: "code", response_mode: "query", state: "s t&te",
    scope: scopeOf("CHROMIUM"), code_challenge_method: "S256",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), ...changes,
  });

const expected = [/status of 400 .*\/oauth2\/authorize.*evil/, /status of 403 .*\/account\/login/];
await inChromium({ sites: [callbackSite], expected }, async ({ opened, shot }) => {
  // Without scripts: everything must work.
  const page = await (await opened({ javaScriptEnabled: false })).newPage();
  await page.goto(authorize({ prompt: "create" }));
  await shot(page, "register");
  await page.getByLabel("User name").fill("bettina");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByLabel("Password, once more").fill(PASSWORD);
  await page.getByRole("button", { name: "Make the account" }).click();
  await page.getByText("@bettina:").waitFor();
  await shot(page, "consent");
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await page.getByText("The client has it.").waitFor();
  const answer = await arrived.promise;
  const tokens = await post(metadata.token_endpoint, {
    grant_type: "authorization_code", code: answer.code, redirect_uri, client_id, code_verifier: verifier,
  });

  // The device grant, in the same browser.
  const waiting = await post(metadata.device_authorization_endpoint, { client_id, scope: scopeOf("TELEVISION") });
  await page.goto(waiting.verification_uri);
  await page.getByLabel("Code").fill(waiting.user_code.toLowerCase());
  await page.keyboard.press("Enter");
  await page.getByText(waiting.user_code).waitFor();
  await shot(page, "device");
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await page.getByRole("status").waitFor();
  const deviceTokens = await post(metadata.token_endpoint, {
    grant_type: DEVICE_CODE, device_code: waiting.device_code, client_id,
  });
  const deviceUser = await whoami(deviceTokens.access_token);

  // A device is signed out on the account page, with the keyboard alone.
  await page.goto(`${metadata.account_management_uri}?action=org.matrix.device_delete&device_id=TELEVISION`);
  await shot(page, "sign-out");
  await page.getByRole("button", { name: "Sign this device out" }).press("Enter");
  await page.getByRole("heading", { name: "Your devices" }).waitFor();
  await shot(page, "devices");
  const signedOut = await whoami(deviceTokens.access_token);

  // An evil redirect URI leads nowhere.
  await page.goto(authorize({ redirect_uri: "https://evil.example.org/" }));
  const refusedAt = page.url();
  await shot(page, "refused");

  // Whether all can use the pages: axe looks at each, with a fresh browser that has scripts, light and dark.
  const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf-8");
  const violations = [];
  for (const colorScheme of ["light", "dark"]) {
    const looked = await (await opened({ colorScheme })).newPage();
    const look = async (path) => {
      if (path) await looked.goto(path);
      await looked.evaluate(axe);
      const found = await looked.evaluate(() => globalThis.axe.run());
      if (found.passes.length < 10) violations.push(`${looked.url()}: axe saw nothing`);
      violations.push(...found.violations.map((one) => `${looked.url()}: ${one.id}: ${one.help}`));
    };
    await look(`${baseUrl}/account/register`);
    await look(authorize({}));
    await looked.getByLabel("User name").fill("bettina");
    await looked.getByLabel("Password").fill("wrong");
    await looked.getByRole("button", { name: "Sign in" }).click();
    await looked.getByRole("alert").waitFor();
    await look();
    await shot(looked, `login-${colorScheme}`);
    await looked.getByLabel("Password").fill(PASSWORD);
    await looked.getByRole("button", { name: "Sign in" }).click();
    await looked.getByRole("button", { name: "Allow", exact: true }).waitFor();
    await look();
    for (const action of metadata.account_management_actions_supported) {
      await look(`${metadata.account_management_uri}?action=${action}&device_id=CHROMIUM`);
    }
    await look(waiting.verification_uri);
  }

  return {
    state: answer.state,
    user: await whoami(tokens.access_token),
    deviceUser,
    signedOut: signedOut.errcode,
    refusedAt,
    violations,
  };
});
callback.close();
