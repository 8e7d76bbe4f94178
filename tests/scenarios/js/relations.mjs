// A matrix-js-sdk client that was away finds edits, threads, reactions and contexts as another one left them.
// Usage: node relations.mjs BASE_URL
import assert from "node:assert";
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.disableAll?.();
const [baseUrl] = process.argv.slice(2);
const password = "correct horse battery staple";

async function register(name) {
  await sdk.createClient({ baseUrl }).registerRequest({ username: name, password, auth: { type: "m.login.dummy" } });
  return login(name);
}

async function login(name) {
  const identifier = { type: "m.id.user", user: name };
  const session = await sdk.createClient({ baseUrl }).loginRequest({ type: "m.login.password", identifier, password });
  return sdk.createClient({
    baseUrl,
    userId: session.user_id,
    deviceId: session.device_id,
    accessToken: session.access_token,
    timelineSupport: true,
  });
}

async function until(what, holds) {
  const giveUp = Date.now() + 30_000;
  while (!holds()) {
    assert.ok(Date.now() < giveUp, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const alice = await register("alice");
const bob = await register("bob");
const { room_id: roomId } = await alice.createRoom({ preset: "public_chat" });
await bob.joinRoom(roomId);
const say = async (client, body, relation, more = {}) => {
  const content = { msgtype: "m.text", body, ...more };
  if (relation) content["m.relates_to"] = relation;
  return (await client.sendEvent(roomId, "m.room.message", content)).event_id;
};

// Before the other client is there: a message with an edit, a thread, reactions, and much talk after them.
const root = await say(alice, "root");
const edited = await say(alice, "typo");
await say(alice, "* right", { rel_type: "m.replace", event_id: edited }, { "m.new_content": { msgtype: "m.text", body: "right" } });
const replies = [];
for (let number = 0; number < 5; number += 1) {
  replies.push(await say(number % 2 ? alice : bob, `reply ${number}`, { rel_type: "m.thread", event_id: root }));
}
const plain = await say(bob, "other root");
const later = await say(alice, "later", { rel_type: "m.thread", event_id: plain });
const { event_id: thumb } = await bob.sendEvent(roomId, "m.reaction", {
  "m.relates_to": { rel_type: "m.annotation", event_id: edited, key: "👍" },
});
const between = Date.now();
for (let number = 0; number < 40; number += 1) await say(bob, `talk ${number}`);

const client = await login("alice");
const ready = new Promise((resolve) => client.once(sdk.ClientEvent.Sync, resolve));
await client.startClient({ initialSyncLimit: 10, threadSupport: true });
assert.equal(await ready, "PREPARED");
const room = client.getRoom(roomId);

// Threads are listed by their latest event, with how long they are.
await room.createThreadsTimelineSets();
await room.fetchRoomThreads();
assert.deepEqual(room.getThreads().map((thread) => thread.id).sort(), [root, plain].sort());
const thread = room.getThread(root);
await until("the thread is there", () => thread.replyToEvent?.getId() === replies[4]);
assert.equal(thread.length, 5);
assert.equal(thread.hasCurrentUserParticipated, true);
assert.equal(room.getThread(plain).replyToEvent.getId(), later);

// The whole thread, from the relations API.
const inThread = await client.relations(roomId, root, "m.thread", "m.room.message", { dir: sdk.Direction.Forward });
assert.deepEqual(inThread.events.map((event) => event.getId()), replies);
assert.equal(inThread.originalEvent.getId(), root);

// Far back in the timeline, the context of the edited message: with its edit, and what is around it.
const timeline = await client.getEventTimeline(room.getUnfilteredTimelineSet(), edited);
const found = timeline.getEvents().find((event) => event.getId() === edited);
await until("the edit is applied", () => found.replacingEvent() !== null);
assert.equal(found.getContent().body, "right");
const reactions = await client.relations(roomId, edited, "m.annotation", "m.reaction");
assert.deepEqual(reactions.events.map((event) => event.getId()), [thumb]);

// From a day to a place.
const moment = await client.timestampToEvent(roomId, between, sdk.Direction.Forward);
assert.equal((await client.fetchRoomEvent(roomId, moment.event_id)).content.body, "talk 0");

// What comes now is counted on.
const last = await say(bob, "live", { rel_type: "m.thread", event_id: root });
await until("the live reply is there", () => thread.replyToEvent?.getId() === last);
assert.equal(thread.length, 6);

client.stopClient();
console.log("edits, threads and reactions are as they were left");
process.exit(0);
