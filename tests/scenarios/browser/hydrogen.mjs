// Two people with Hydrogen: they make accounts, log in, chat, and then chat in a room that only they can read.
import { ask, baseUrl, inChromium } from "./chromium.mjs";
import { OF_HYDROGEN, serveHydrogen } from "./site.mjs";

const PASSWORD = "correct horse battery staple";
const V3 = "/_matrix/client/v3";
const hydrogen = await serveHydrogen();

const register = async (context, username) => {
  const page = await context.newPage();
  await hydrogen.visit(page, "/register.html");
  await page.getByLabel("Homeserver").fill(baseUrl);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Register" }).click();
  await page.getByRole("status").getByText("asked for").or(page.getByRole("status").getByText("M_")).waitFor();
  return page;
};

const logIn = async (page, username, password) => {
  await page.getByPlaceholder("Username").fill(username);
  await page.getByPlaceholder("Password").fill(password);
  await page.getByRole("button", { name: "Log In", exact: true }).click();
};

// A room in the list that has its ID: one that is only being made has another.
const listed = (page, room) => page.locator(".RoomList a[href*='open-room/!']").filter({ hasText: room });
const open = (page, room) => listed(page, room).click();

const makeRoom = async (page, name, { encrypted }) => {
  await page.getByRole("button", { name: "Create room" }).click();
  await page.getByText("Create Room", { exact: true }).click();
  await page.getByLabel("Room name").fill(name);
  await page.getByLabel("Enable end-to-end encryption").setChecked(encrypted);
  await page.locator("form").getByRole("button", { name: "Create room" }).click();
  await open(page, name); // COMPAT: Hydrogen 0.3.1 means to open it by itself, but takes a promise for the room
  await page.locator(".RoomView h2").getByText(name).waitFor();
  return decodeURIComponent(page.url().split("/room/")[1]);
};

const invite = async (page, userId) => {
  await page.getByRole("button", { name: "Room options" }).click();
  await page.getByText("Room details").click();
  await page.getByRole("button", { name: "People" }).click();
  await page.getByRole("button", { name: "Invite to this room" }).click();
  await page.getByPlaceholder("Enter user-id of user").fill(userId);
  await page.getByRole("button", { name: "Invite", exact: true }).click();
  await page.locator(".RightPanelView").waitFor({ state: "detached" });
};

const accept = async (page, room) => {
  await open(page, room);
  await page.getByRole("button", { name: "Accept" }).click();
  await page.locator(".MessageComposer").waitFor();
};
const say = async (page, text) => {
  await page.locator(".MessageComposer textarea").fill(text);
  await page.locator(".MessageComposer textarea").press("Enter");
};
const message = (page, text) => page.locator(".Timeline_message:not(.unsent)").filter({ hasText: text });
const heard = (page, text) => message(page, text).waitFor();
// What a person reads in the open room, without the times.
const read = (page) =>
  page.locator(".Timeline_message:not(.unsent) .Timeline_messageBody").evaluateAll((bodies) =>
    bodies.map((body) => {
      const copy = body.cloneNode(true);
      copy.querySelectorAll("time").forEach((time) => time.remove());
      return copy.innerText;
    }),
  );

const expected = [
  ...OF_HYDROGEN,
  /status of 40[01] .*\/register/, // it asks for the stages, and for a name that is taken
  /status of 403 .*\/login/,
  /getKey\(true\) failed on .*archivedRoomSummary/, // see makeRoom
];
await inChromium({ sites: [hydrogen.origin], expected }, async ({ opened, shot }) => {
  const annas = await opened();
  let anna = await register(annas, "anna");
  const registered = await anna.getByRole("status").innerText();
  await shot(anna, "registered");
  const again = await register(await opened(), "anna");
  const taken = await again.getByRole("status").innerText();
  await shot(again, "name-taken");
  const berts = await opened();
  let bert = await register(berts, "bert");
  await bert.getByRole("link", { name: "Go on" }).click();
  await bert.locator(".LeftPanel").waitFor();
  await shot(bert, "first-sight");

  // Out, and in again, as another device.
  await anna.getByRole("link", { name: "Go on" }).click();
  await anna.getByRole("link", { name: "Settings" }).click();
  await shot(anna, "settings");
  await anna.getByRole("button", { name: "Log out" }).click();
  await anna.getByText("Are you sure you want to log out?").waitFor();
  await anna.getByRole("button", { name: "Log out" }).click();
  await anna.getByRole("link", { name: "Sign In" }).click();
  await anna.getByPlaceholder("Your matrix homeserver").fill(baseUrl);
  await anna.getByPlaceholder("Your matrix homeserver").press("Tab");
  await logIn(anna, "anna", "wrong");
  await anna.locator(".PasswordLoginView .error").waitFor();
  const refusal = await anna.locator(".PasswordLoginView .error").first().innerText();
  await shot(anna, "wrong-password");
  await logIn(anna, "anna", PASSWORD);
  await anna.locator(".LeftPanel").waitFor();
  await shot(anna, "logged-in");

  // A room that is not encrypted.
  await makeRoom(anna, "Kitchen", { encrypted: false });
  await invite(anna, "@bert:localhost");
  await open(bert, "Kitchen");
  await bert.getByRole("button", { name: "Accept" }).waitFor();
  await shot(bert, "invited");
  await accept(bert, "Kitchen");
  await say(anna, "Is there tea?");
  await heard(bert, "Is there tea?");
  await say(bert, "There is.");
  await heard(anna, "There is.");
  await message(anna, "There is.").hover();
  await message(anna, "There is.").locator(".Timeline_messageOptions").click();
  await anna.locator(".menu").getByRole("button", { name: "🎉" }).click();
  await message(bert, "There is.").getByRole("button", { name: "🎉 1" }).waitFor();
  await shot(anna, "chat-anna");
  await shot(bert, "chat-bert");
  const chat = { anna: await read(anna), bert: await read(bert) };

  // A room that only the two can read.
  const cellar = await makeRoom(anna, "Cellar", { encrypted: true });
  await invite(anna, "@bert:localhost");
  await accept(bert, "Cellar");
  await anna.getByText("bert joined the room").waitFor();
  await say(anna, "The key is under the mat.");
  await heard(bert, "The key is under the mat.");
  await say(bert, "Which mat?");
  await heard(anna, "Which mat?");
  await shot(anna, "encrypted-anna");
  await shot(bert, "encrypted-bert");

  // Bert goes away, and finds what was said when he comes back; Anna's browser reads it again from its storage.
  await bert.close();
  await say(anna, "The red one.");
  await heard(anna, "The red one.");
  await anna.reload();
  await heard(anna, "The red one.");
  bert = await berts.newPage();
  await hydrogen.visit(bert, "/");
  await open(bert, "Cellar");
  await heard(bert, "The red one.");
  await shot(anna, "reloaded-anna");
  await shot(bert, "back-bert");
  const secret = { anna: await read(anna), bert: await read(bert) };

  // What the server has of it.
  const body = { type: "m.login.password", identifier: { type: "m.id.user", user: "bert" }, password: PASSWORD };
  const { access_token: token } = await ask("POST", `${V3}/login`, { body });
  const kept = await ask("GET", `${V3}/rooms/${encodeURIComponent(cellar)}/messages?dir=f&limit=100`, { token });
  const types = kept.chunk.filter((event) => event.state_key === undefined).map((event) => event.type);
  return { registered, taken, refusal, chat, secret, types, kept: JSON.stringify(kept) };
});
hydrogen.close();
