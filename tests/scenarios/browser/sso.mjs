// Somebody with Hydrogen signs in on the pages of the server, which send the browser back with a token.
import { ask, baseUrl, inChromium } from "./chromium.mjs";
import { OF_HYDROGEN, serveHydrogen } from "./site.mjs";

const PASSWORD = "correct horse battery staple";
const hydrogen = await serveHydrogen();
const body = { username: "sofia", password: PASSWORD, auth: { type: "m.login.dummy" }, inhibit_login: true };
await ask("POST", "/_matrix/client/v3/register", { body });

await inChromium({ sites: [hydrogen.origin], expected: OF_HYDROGEN }, async ({ opened, shot }) => {
  const page = await (await opened()).newPage();
  await hydrogen.visit(page, "/");
  await page.getByPlaceholder("Your matrix homeserver").fill(baseUrl);
  await page.getByPlaceholder("Your matrix homeserver").press("Tab");
  await page.getByRole("button", { name: "Log in with SSO" }).click();
  await page.getByLabel("User name").fill("sofia");
  await page.getByLabel("Password").fill(PASSWORD);
  await shot(page, "sign-in");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("asks to act as").waitFor();
  await shot(page, "asked");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByText("@sofia:localhost").waitFor();
  await shot(page, "signed-in");
  return { back: page.url().startsWith(`${hydrogen.origin}/`), token: page.url().includes("loginToken") };
});
hydrogen.close();
