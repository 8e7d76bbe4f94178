// matrix-js-sdk as a program, on /sync or on sliding sync: one command a line on stdin, one answer a line on stdout, as JSON.
// See ../same_view/programs/commands.py for the commands. Usage: node same_view.mjs
import readline from "node:readline";
import * as sdk from "matrix-js-sdk";
import { SlidingSync, SlidingSyncEvent } from "matrix-js-sdk/lib/sliding-sync.js";
import { logger } from "matrix-js-sdk/lib/logger.js";

for (const level of ["trace", "debug", "info", "warn", "error"]) logger[level] = () => {};
for (const level of ["log", "debug", "info", "warn", "error"]) console[level] = () => {};

// COMPAT: matrix-js-sdk 43 cannot have a gap in a room that it knows from sliding sync: it appends what comes and
// forgets what is missing. So it asks for more than happens while it is away.
const WISHES = { timeline_limit: 200, required_state: [["*", "*"]] };
const LISTS = () => new Map([["all", { ranges: [[0, 99]], filters: {}, ...WISHES }]]);
const FEW = 6; // events in an answer of /sync, so that a burst is a gap
const WAIT_MS = 20_000;

// What sync tells of a room that is live is taken where both kinds of sync hand it over: the model also knows receipts
// that the client made itself.
const DEVICES_OF = new WeakMap();
const take = sdk.Room.prototype.addEphemeralEvents;
sdk.Room.prototype.addEphemeralEvents = function (events) {
  for (const event of events) DEVICES_OF.get(this.client).note(this.roomId, event);
  take.call(this, events);
};

class Device {
  constructor(session) {
    this.session = session;
    this.typing = new Map();
    this.receipts = new Map();
    this.begun = new Set();
    this.client = sdk.createClient({
      baseUrl: session.base_url,
      userId: session.user_id,
      deviceId: session.device_id,
      accessToken: session.access_token,
    });
    // The memory store saves nothing, so that a client that comes back would begin anew: it is to go on from its token.
    this.client.store.getSavedSyncToken = async () => this.client.store.getSyncToken();
    DEVICES_OF.set(this.client, this);
  }

  note(roomId, event) {
    if (event.getType() === "m.typing") this.typing.set(roomId, event.getContent().user_ids);
    if (event.getType() !== "m.receipt") return;
    const room = this.receipts.get(roomId) ?? {};
    this.receipts.set(roomId, room);
    for (const [eventId, kinds] of Object.entries(event.getContent())) {
      for (const [kind, users] of Object.entries(kinds)) {
        for (const [userId, receipt] of Object.entries(users)) {
          room[`${userId} ${kind} ${receipt.thread_id ?? "-"}`] = eventId;
        }
      }
    }
  }

  async start() {
    await this.resume();
  }

  // Resolves when something has been synced.
  async resume() {
    const options = { initialSyncLimit: FEW, pendingEventOrdering: sdk.PendingEventOrdering.Detached };
    if (this.session.kind === "sliding") {
      const sliding = new SlidingSync(this.session.base_url, LISTS(), WISHES, this.client, 20_000);
      options.slidingSync = sliding;
      // COMPAT: to a new connection the rooms are told in which somebody types, so in all others nobody does.
      // matrix-js-sdk 43 goes on to show those who typed before it. Likewise a new connection is told of all rooms that
      // the user is in (the list has room for all), and matrix-js-sdk 43 keeps those that the user left meanwhile.
      const beginAnew = () => {
        this.typing.clear();
        this.told = new Set();
      };
      beginAnew();
      sliding.on(SlidingSyncEvent.Lifecycle, (state, answer, error) => {
        if (error?.httpStatus === 400) beginAnew();
      });
      sliding.on(SlidingSyncEvent.RoomData, (roomId) => this.told.add(roomId));
    }
    const synced = new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`did not sync in time: ${seen}, ${this.client.getSyncStateData()?.error}`)), WAIT_MS).unref();
      const seen = [];
      const look = (state) => {
        seen.push(state);
        if (state !== "SYNCING" && state !== "PREPARED") return;
        this.client.off(sdk.ClientEvent.Sync, look);
        resolve();
      };
      this.client.on(sdk.ClientEvent.Sync, look);
    });
    await this.client.startClient(options);
    await synced;
  }

  async stop() {
    this.client.stopClient();
  }

  async cut() {
    await this.stop();
    await this.resume();
  }

  // The client waits some seconds before it tries a server again that was away.
  async hurry() {
    this.client.retryImmediately();
  }

  async act(action) {
    try {
      const body = await (NATIVE[action.verb] ?? request)(this.client, action);
      return { status: 200, body: body ?? {} };
    } catch (error) {
      return { status: error.httpStatus ?? null, body: error.data ?? { error: String(error) } };
    }
  }

  async view() {
    const rooms = {};
    for (const room of this.client.getRooms()) {
      const membership = room.getMyMembership();
      if (this.told && !this.told.has(room.roomId)) continue;
      if (["join", "invite", "knock"].includes(membership)) rooms[room.roomId] = await this.viewOf(room, membership);
    }
    const presence = {};
    for (const user of this.client.getUsers()) {
      // COMPAT: matrix-js-sdk 43 keeps a status message that was taken back, so the event is looked at.
      const content = user.events.presence?.getContent();
      if (content) presence[user.userId] = [user.presence, content.status_msg ?? null];
    }
    const data = Object.fromEntries([...this.client.store.accountData].map(([type, event]) => [type, event.getContent()]));
    return { rooms, presence, account_data: kept(data) };
  }

  // COMPAT: a room that matrix-js-sdk 43 knew from an invite that was turned down begins with that for ever: where it has
  // no token to page back from, there is one before its first event.
  async findBeginning(room, timeline) {
    const [first] = timeline.getEvents();
    if (!first || this.begun.has(first.getId()) || timeline.getPaginationToken(sdk.Direction.Backward)) return;
    this.begun.add(first.getId());
    if (first.getType() === "m.room.create") return;
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room.roomId)}/context/${encodeURIComponent(first.getId())}`;
    const { start } = await this.client.http.authedRequest("GET", path, { limit: "0" }, undefined, { prefix: "" });
    timeline.setPaginationToken(start ?? null, sdk.Direction.Backward);
  }

  async viewOf(room, membership) {
    const content = (type, key) => room.currentState.getStateEvents(type, "")?.getContent()[key] ?? null;
    const name = content("m.room.name", "name");
    if (membership !== "join") return { membership, name };
    const timeline = room.getLiveTimeline();
    await this.findBeginning(room, timeline);
    while (timeline.getPaginationToken(sdk.Direction.Backward)) {
      await this.client.paginateEventTimeline(timeline, { backwards: true, limit: 50 });
    }
    const members = {};
    for (const member of room.currentState.getMembers()) {
      if (!member.membership || member.membership === "leave") continue;
      members[member.userId] = `${member.membership} ${member.events.member.getContent().displayname ?? "None"}`;
    }
    const state = {};
    for (const [type, events] of room.currentState.events) {
      for (const [key, event] of events) state[`${type}|${key}`] = event.getId();
    }
    return {
      membership,
      name,
      topic: content("m.room.topic", "topic"),
      members,
      state,
      timeline: timeline.getEvents().map((event) => [
        event.getId(), event.getType(), event.getSender(), event.isState(), event.isRedacted(),
      ]),
      typing: [...(this.typing.get(room.roomId) ?? [])].sort(),
      receipts: this.receipts.get(room.roomId) ?? {},
      account_data: kept(Object.fromEntries([...room.accountData].map(([type, event]) => [type, event.getContent()]))),
    };
  }
}

const kept = (data) =>
  Object.fromEntries(Object.entries(data).filter(([type, content]) => Object.keys(content).length && type !== "m.push_rules"));

const request = (client, one) => {
  const [path, query] = one.path.split("?");
  const parameters = query ? Object.fromEntries(new URLSearchParams(query)) : undefined;
  return client.http.authedRequest(one.method, path, parameters, one.body, { prefix: "" });
};

// What could not be sent waits as a local echo: whoever drives asks again, and then it is sent again. What was refused
// is given up.
const sent = (make) => async (client, one) => {
  const room = client.getRoom(one.room_id);
  const find = () => room?.getPendingEvents().find((event) => event.getTxnId() === one.transaction_id);
  const waiting = find();
  try {
    return await (waiting ? client.resendEvent(waiting, room) : make(client, one));
  } catch (error) {
    if (error.httpStatus && find()) client.cancelPendingEvent(find());
    throw error;
  }
};

const NATIVE = {
  create: (client, one) => client.createRoom(one.body),
  send: sent((client, one) => client.sendEvent(one.room_id, one.type, one.content, one.transaction_id)),
  state: (client, one) => client.sendStateEvent(one.room_id, one.type, one.content, one.state_key),
  redact: sent((client, one) => client.redactEvent(one.room_id, one.event_id, one.transaction_id)),
  leave: (client, one) => client.leave(one.room_id),
  invite: (client, one) => client.invite(one.room_id, one.user_id),
  kick: (client, one) => client.kick(one.room_id, one.user_id),
  ban: (client, one) => client.ban(one.room_id, one.user_id),
  unban: (client, one) => client.unban(one.room_id, one.user_id),
  knock: (client, one) => client.knockRoom(one.room_id),
  typing: (client, one) => client.sendTyping(one.room_id, one.typing, one.timeout_ms),
  tag: (client, one) => client.setRoomTag(one.room_id, one.tag, one.content),
  untag: (client, one) => client.deleteRoomTag(one.room_id, one.tag),
};

const devices = new Map();

async function answer(command) {
  try {
    if (command.do === "start") devices.set(command.device, new Device(command.session));
    const device = devices.get(command.device);
    return { id: command.id, ok: (await device[command.do](command.action)) ?? null };
  } catch (error) {
    return { id: command.id, error: String(error.stack ?? error) };
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) =>
  answer(JSON.parse(line)).then((told) => process.stdout.write(`${JSON.stringify(told)}\n`)),
);
lines.on("close", () => process.exit(0));
