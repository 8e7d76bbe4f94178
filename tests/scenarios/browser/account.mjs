// Looks after an account on its page, as a person would.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ask, baseUrl, inChromium } from "./chromium.mjs";

const OLD = "correct horse battery staple";
const NEW = "another long password";
const V3 = "/_matrix/client/v3";

const { user_id, access_token: token } = await ask("POST", `${V3}/register`, {
  body: { username: "clara", password: OLD, auth: { type: "m.login.dummy" } },
});
await ask("PUT", `${V3}/profile/${encodeURIComponent(user_id)}/avatar_url`, {
  body: { avatar_url: "mxc://localhost/clara" }, token,
});

const at = (action) => `${baseUrl}/account?action=${action}`;
const signIn = async (page, password) => {
  await page.getByLabel("User name").fill("clara");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
};
const expected = [/status of 403 .*\/account\?action=password/];

await inChromium({ expected }, async ({ opened, shot }) => {
  // Without scripts: everything must work.
  const page = await (await opened({ javaScriptEnabled: false })).newPage();
  await page.goto(at("org.matrix.profile"));
  await signIn(page, OLD);
  await page.getByLabel("Your name").fill("Clara & Co");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Remove the picture" }).waitFor();
  await shot(page, "profile");
  await page.getByRole("button", { name: "Remove the picture" }).press("Enter");
  await page.getByRole("button", { name: "Remove the picture" }).waitFor({ state: "detached" });
  const profile = await ask("GET", `${V3}/profile/${encodeURIComponent(user_id)}`);

  await page.getByRole("link", { name: "Change your password" }).click();
  await shot(page, "password");
  const fill = async (old) => {
    await page.getByLabel("Your password").fill(old);
    await page.getByLabel("The new one", { exact: true }).fill(NEW);
    await page.getByLabel("The new one, once more").fill(NEW);
    await page.getByRole("button", { name: "Change the password" }).click();
  };
  await fill("wrong");
  const refusal = await page.getByRole("alert").textContent();
  await fill(OLD);
  await page.getByText("No device is signed in.").waitFor();
  const signedOut = await ask("GET", `${V3}/account/whoami`, { token, allowed: [401] });

  // Whether all can use the pages: axe looks at each, with a fresh browser that has scripts, light and dark.
  const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf-8");
  const violations = [];
  for (const colorScheme of ["light", "dark"]) {
    const looked = await (await opened({ colorScheme })).newPage();
    await looked.goto(at("password"));
    await signIn(looked, NEW);
    await looked.getByLabel("Your password").waitFor();
    for (const action of ["password", "org.matrix.profile"]) {
      await looked.goto(at(action));
      await shot(looked, `${action}-${colorScheme}`);
      await looked.evaluate(axe);
      const found = await looked.evaluate(() => globalThis.axe.run());
      if (found.passes.length < 10) violations.push(`${looked.url()}: axe saw nothing`);
      violations.push(...found.violations.map((one) => `${looked.url()}: ${one.id}: ${one.help}`));
    }
  }
  return { profile, refusal, signedOut: signedOut.errcode, violations };
});
