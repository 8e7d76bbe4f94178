// matrix-js-sdk signs in by OAuth 2.0, in both ways, refreshes and signs out. Its user fills in the pages.
// Usage: node oauth.mjs BASE_URL
import * as sdk from "matrix-js-sdk";
import { OAuth2 } from "matrix-js-sdk/lib/oauth/index.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.disableAll?.();
console.debug = console.info = () => {};
const [baseUrl] = process.argv.slice(2);
const PASSWORD = "correct horse battery staple";
const CALLBACK = "https://app.example.com/callback";

// A browser: one cookie, and forms.
let cookie = "";
const load = async (path, options = {}) => {
  const url = new URL(path, baseUrl);
  const response = await fetch(url, { ...options, redirect: "manual", headers: { cookie, ...options.headers } });
  cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie;
  const next = response.headers.get("location");
  if (next?.startsWith("/")) return load(next);
  const text = await response.text();
  const unescaped = (html) => html.replaceAll("&amp;", "&");
  return { next, action: unescaped(/action="([^"]*)"/.exec(text)?.[1] ?? ""), key: /value="([0-9a-f]{64})"/.exec(text)?.[1], text };
};
const submit = (page, fields) =>
  load(page.action, { method: "POST", body: new URLSearchParams({ form_key: page.key, ...fields }) });

const legacy = sdk.createClient({ baseUrl });
await legacy.registerRequest({ username: "oskar", password: PASSWORD, auth: { type: "m.login.dummy" } });

const metadata = await legacy.getAuthMetadata();
const clientId = await OAuth2.registerClient(metadata, {
  client_name: "js-sdk", client_uri: "https://example.com/", application_type: "web", redirect_uris: [CALLBACK],
});
const clientFor = (accessToken) => sdk.createClient({ baseUrl, accessToken });

const byCode = new OAuth2(metadata, { clientId, deviceId: "BYCODE" });
let page = await load(await byCode.generateAuthorizationCodeGrantUrl("a state", CALLBACK));
page = await submit(page, { user: "oskar", password: PASSWORD });
page = await submit(page, { decision: "allow" });
const answer = new URLSearchParams(new URL(page.next).hash.slice(1));
const tokens = await byCode.completeAuthorizationCodeGrant(answer.get("code"), CALLBACK);
const refreshed = await byCode.performRefreshTokenGrant(tokens.refresh_token);
const who = await clientFor(refreshed.access_token).whoami();

const byDevice = new OAuth2(metadata, { clientId, deviceId: "BYDEVICE" });
const waiting = await byDevice.startDeviceAuthorizationGrant();
page = await load(waiting.verification_uri_complete);
page = await submit(page, { user_code: waiting.user_code });
await submit(page, { user_code: waiting.user_code, decision: "allow" });
const deviceTokens = await byDevice.waitForDeviceAuthorizationGrant(waiting);
const deviceWho = await clientFor(deviceTokens.access_token).whoami();

await byDevice.revokeToken(deviceTokens.refresh_token, "refresh_token");
const gone = await clientFor(deviceTokens.access_token).whoami().then(() => "still there", (error) => error.errcode);
const devices = (await clientFor(refreshed.access_token).getDevices()).devices.map((one) => one.device_id);
const refusal = await byDevice.performRefreshTokenGrant(deviceTokens.refresh_token)
  .then(() => "still good", (error) => error.error ?? error.message);

console.log(JSON.stringify({
  state: answer.get("state"), user: who.user_id, device: who.device_id, secondDevice: deviceWho.device_id, gone,
  listed: [devices.includes("BYCODE"), devices.includes("BYDEVICE")], refusal: String(refusal),
}));
process.exit(0);
