// matrix-js-sdk with its Rust crypto: two people cross-sign their devices and talk in an encrypted room; one of them
// comes with a second device, which can read what is said from then on, and leaves with the first.
// Usage: node keys.mjs BASE_URL
import assert from "node:assert";
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.disableAll?.();
console.debug = console.info = () => {};
const [baseUrl] = process.argv.slice(2);
const password = "correct horse battery staple";

async function until(what, holds) {
  const giveUp = Date.now() + 45_000;
  while (!(await holds())) {
    assert.ok(Date.now() < giveUp, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function logIn(name) {
  const stranger = sdk.createClient({ baseUrl });
  const identifier = { type: "m.id.user", user: name };
  const login = await stranger.loginRequest({ type: "m.login.password", identifier, password });
  const client = sdk.createClient({
    baseUrl,
    userId: login.user_id,
    deviceId: login.device_id,
    accessToken: login.access_token,
    cryptoCallbacks: {},
  });
  await client.initRustCrypto({ useIndexedDB: false });
  const ready = new Promise((resolve) => client.once(sdk.ClientEvent.Sync, resolve));
  await client.startClient({ initialSyncLimit: 20 });
  assert.equal(await ready, "PREPARED");
  return client;
}

async function register(name) {
  const stranger = sdk.createClient({ baseUrl });
  await stranger.registerRequest({ username: name, password, auth: { type: "m.login.dummy" } });
  return logIn(name);
}

async function crossSign(client) {
  // The first time nobody is asked for a password.
  await client.getCrypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: (upload) => upload(null) });
  await until("the device is signed by its owner", async () => {
    const crypto = client.getCrypto();
    return (await crypto.getDeviceVerificationStatus(client.getUserId(), client.getDeviceId()))?.signedByOwner;
  });
}

const texts = (client, roomId) =>
  (client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [])
    .filter((event) => event.getType() === "m.room.message" && !event.isDecryptionFailure() && event.isEncrypted())
    .map((event) => event.getContent().body);

const alice = await register("alice");
const bob = await register("bob");
await crossSign(alice);
await crossSign(bob);
const { room_id: roomId } = await alice.createRoom({
  invite: [bob.getUserId()],
  initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
});
await until("bob is invited", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
await bob.joinRoom(roomId);
await until("both are in", () => alice.getRoom(roomId)?.getJoinedMemberCount() === 2);
await until("bob knows", () => bob.getRoom(roomId)?.hasEncryptionStateEvent());

await alice.sendTextMessage(roomId, "from alice");
await bob.sendTextMessage(roomId, "from bob");
for (const client of [alice, bob]) {
  await until("all is read", () => ["from alice", "from bob"].every((text) => texts(client, roomId).includes(text)));
}

const second = await logIn("bob");
await until("alice knows of the second device", async () => {
  const devices = await alice.getCrypto().getUserDeviceInfo([bob.getUserId()]);
  return devices.get(bob.getUserId())?.size === 2;
});
await alice.sendTextMessage(roomId, "to both devices");
for (const client of [bob, second]) {
  await until("both devices read it", () => texts(client, roomId).includes("to both devices"));
}

bob.stopClient();
await bob.logout();
await until("alice knows that the first is gone", async () => {
  const devices = await alice.getCrypto().getUserDeviceInfo([bob.getUserId()]);
  return devices.get(bob.getUserId())?.size === 1;
});
await second.sendTextMessage(roomId, "from the second");
await until("alice reads the second device", () => texts(alice, roomId).includes("from the second"));
console.log("keys: cross-signed, encrypted, a device that came and one that went");
process.exit(0);
