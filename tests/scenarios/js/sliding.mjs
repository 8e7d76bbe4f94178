// One matrix-js-sdk client on sliding sync and one on /sync meet in a room; both see the same of it.
// Usage: node sliding.mjs BASE_URL MESSAGES_EACH
import assert from "node:assert";
import * as sdk from "matrix-js-sdk";
import { SlidingSync } from "matrix-js-sdk/lib/sliding-sync.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.disableAll?.();
const [baseUrl, countText] = process.argv.slice(2);
const count = Number(countText);

const WISHES = {
  timeline_limit: 20,
  required_state: [
    ["m.room.create", ""], ["m.room.name", ""], ["m.room.topic", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
  ],
};

async function register(name) {
  const stranger = sdk.createClient({ baseUrl });
  const password = "correct horse battery staple";
  await stranger.registerRequest({ username: name, password, auth: { type: "m.login.dummy" } });
  const login = await stranger.loginRequest({
    type: "m.login.password", identifier: { type: "m.id.user", user: name }, password,
  });
  return sdk.createClient({
    baseUrl, userId: login.user_id, deviceId: login.device_id, accessToken: login.access_token,
  });
}

async function until(what, holds) {
  const giveUp = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < giveUp, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const messages = (client, roomId) =>
  (client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []).filter(
    (event) => event.getType() === "m.room.message" && !event.status,
  );

const alice = await register("sliding-alice");
const bob = await register("legacy-bob");
const lists = new Map([["all", { ranges: [[0, 19]], filters: {}, ...WISHES }]]);
const slidingSync = new SlidingSync(baseUrl, lists, WISHES, alice, 30_000);
await alice.startClient({ slidingSync });
await bob.startClient({ initialSyncLimit: 20 });

const { room_id: roomId } = await bob.createRoom({ name: "Sliding", topic: "Both ways", invite: [alice.getUserId()] });
await until("alice is invited", () => alice.getRoom(roomId)?.getMyMembership() === "invite");
await alice.joinRoom(roomId);
await until("alice is in", () => alice.getRoom(roomId)?.getMyMembership() === "join");
await until("bob sees alice", () => bob.getRoom(roomId)?.getJoinedMemberCount() === 2);

const sendAll = async (client, name) => {
  for (let number = 0; number < count; number += 1) await client.sendTextMessage(roomId, `${name} ${number}`);
};
await Promise.all([sendAll(alice, "alice"), sendAll(bob, "bob")]);
await until("alice has all", () => messages(alice, roomId).length === 2 * count);
await until("bob has all", () => messages(bob, roomId).length === 2 * count);
const bodies = (client) => messages(client, roomId).map((event) => event.getContent().body);
assert.deepEqual([...bodies(alice)].sort(), [...bodies(bob)].sort());

const room = alice.getRoom(roomId);
assert.equal(room.name, "Sliding");
assert.equal(room.currentState.getStateEvents("m.room.topic", "").getContent().topic, "Both ways");
await bob.setRoomName(roomId, "Renamed");
await until("alice sees the name", () => alice.getRoom(roomId).name === "Renamed");
await bob.setRoomTag(roomId, "m.favourite", { order: 0.5 });
await alice.setRoomTag(roomId, "u.mine", { order: 0.1 });
await until("alice sees her tag", () => "u.mine" in alice.getRoom(roomId).tags);
assert.ok(!("m.favourite" in alice.getRoom(roomId).tags));

await bob.sendTyping(roomId, true, 30_000);
await until("alice sees bob type", () => alice.getRoom(roomId).getMember(bob.getUserId())?.typing);
const last = messages(bob, roomId).at(-1);
await bob.sendReadReceipt(last);
await until("alice sees what bob has read", () => room.hasUserReadEvent(bob.getUserId(), last.getId()));

await alice.leave(roomId);
await until("alice sees that she left", () => alice.getRoom(roomId).getMyMembership() === "leave");
console.log(`${2 * count} messages, name, tags, typing and receipts are the same on sliding sync`);
alice.stopClient();
bob.stopClient();
process.exit(0);
