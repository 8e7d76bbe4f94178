// Two matrix-js-sdk clients register, log in, meet in a room and send each other messages at once.
// Usage: node two_people.mjs BASE_URL MESSAGES_EACH
import assert from "node:assert";
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.disableAll?.();
const [baseUrl, countText] = process.argv.slice(2);
const count = Number(countText);

class Person {
  constructor(name) {
    this.name = name;
    this.seen = [];
  }

  async register() {
    const stranger = sdk.createClient({ baseUrl });
    const password = "correct horse battery staple";
    await stranger.registerRequest({ username: this.name, password, auth: { type: "m.login.dummy" } });
    const login = await stranger.loginRequest({
      type: "m.login.password",
      identifier: { type: "m.id.user", user: this.name },
      password,
    });
    this.client = sdk.createClient({
      baseUrl,
      userId: login.user_id,
      deviceId: login.device_id,
      accessToken: login.access_token,
    });
    this.client.on(sdk.RoomEvent.Timeline, (event, room, toStartOfTimeline, removed, data) => {
      if (!toStartOfTimeline && data.liveEvent && event.getType() === "m.room.message" && !event.status) {
        this.seen.push(event.getId());
      }
    });
    // The local echo enters the timeline before it has its final ID; the confirmation is what counts.
    this.client.on(sdk.RoomEvent.LocalEchoUpdated, (event) => {
      if (event.status === null) this.confirmed = (this.confirmed ?? 0) + 1;
    });
    const ready = new Promise((resolve) => this.client.once(sdk.ClientEvent.Sync, resolve));
    await this.client.startClient({ initialSyncLimit: 20 });
    assert.equal(await ready, "PREPARED");
  }

  async sendAll(roomId) {
    for (let number = 0; number < count; number += 1) {
      await this.client.sendTextMessage(roomId, `${this.name} ${number}`);
    }
  }

  messages(roomId) {
    const events = this.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    return events.filter((event) => event.getType() === "m.room.message" && !event.status);
  }
}

async function until(what, holds) {
  const giveUp = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < giveUp, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const alice = new Person("alice");
const bob = new Person("bob");
await alice.register();
await bob.register();
const { room_id: roomId } = await alice.client.createRoom({ name: "A first conversation", invite: [bob.client.getUserId()] });
await until("bob is invited", () => bob.client.getRoom(roomId)?.getMyMembership() === "invite");
await bob.client.joinRoom(roomId);
await until("both are in", () => alice.client.getRoom(roomId)?.getJoinedMemberCount() === 2);
await Promise.all([alice.sendAll(roomId), bob.sendAll(roomId)]);
await until("alice has all", () => alice.messages(roomId).length === 2 * count);
await until("bob has all", () => bob.messages(roomId).length === 2 * count);

const texts = (person) => person.messages(roomId).map((event) => `${event.getId()} ${event.getContent().body}`);
assert.equal(new Set(texts(alice)).size, 2 * count);
assert.deepEqual([...texts(alice)].sort(), [...texts(bob)].sort());
// What the server says is the order: a client's own echoes may stand where they were sent.
const stored = await alice.client.createMessagesRequest(roomId, null, 2 * count, sdk.Direction.Backward);
const order = stored.chunk.filter((event) => event.type === "m.room.message").map((event) => event.event_id);
assert.equal(new Set(order).size, 2 * count);

// What one keeps with the account: set, told by sync, deleted; and whom one ignores one does not hear.
const room = bob.client.getRoom(roomId);
await bob.client.setAccountData("org.example.colors", { red: 1 });
assert.deepEqual(bob.client.getAccountData("org.example.colors").getContent(), { red: 1 });
await bob.client.deleteAccountData("org.example.colors");
assert.deepEqual(bob.client.getAccountData("org.example.colors")?.getContent() ?? {}, {});
await bob.client.setRoomTag(roomId, "u.work", { order: 0.5 });
await until("bob sees his tag", () => room.tags["u.work"]?.order === 0.5);
await bob.client.deleteRoomTag(roomId, "u.work");
await until("bob's tag is gone", () => !("u.work" in room.tags));
await bob.client.setIgnoredUsers([alice.client.getUserId()]);
await until("bob ignores alice", () => bob.client.isUserIgnored(alice.client.getUserId()));
const unheard = await alice.client.sendTextMessage(roomId, "not for bob");
const heard = await bob.client.sendTextMessage(roomId, "for both");
await until("bob hears himself", () => room.findEventById(heard.event_id));
await until("alice hears bob", () => alice.client.getRoom(roomId).findEventById(heard.event_id));
assert.ok(!room.findEventById(unheard.event_id), "bob does not hear alice");

await alice.client.logout(true);
alice.client.stopClient();
bob.client.stopClient();
console.log(`${2 * count} messages, the same order for both`);
process.exit(0);
