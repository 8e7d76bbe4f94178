// matrix-js-sdk with its Rust crypto as a program: devices that cross-sign, verify, encrypt, back up and restore. One
// command a line on stdin, one answer a line on stdout, as JSON: `{"id": …, "device": …, "do": …, "action": …}`.
// Usage: node encrypted.mjs
import assert from "node:assert";
import readline from "node:readline";
import * as sdk from "matrix-js-sdk";
import {
  CryptoEvent, VerificationPhase, VerificationRequestEvent, VerifierEvent, decodeRecoveryKey,
} from "matrix-js-sdk/lib/crypto-api/index.js";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";

for (const level of ["trace", "debug", "info", "warn", "error"]) logger[level] = () => {};
for (const level of ["log", "debug", "info", "warn", "error"]) console[level] = () => {};

RustBackupManager.maxBackupLoopStartDelayMillis = 100; // instead of 10 s, which spare a server of many users
const GIVE_UP_MS = 100_000;
const NO_GAPS = 1000; // events in an answer of /sync

async function until(what, find) {
  const giveUp = Date.now() + GIVE_UP_MS;
  for (;;) {
    const found = await find();
    if (found) return found;
    assert.ok(Date.now() < giveUp, `waited too long until ${what instanceof Function ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// The network of one device: it can be cut, as in a tunnel, and it knows to which devices keys went over it.
class Network {
  constructor() {
    this.there = new AbortController();
    this.traffic = [];
    this.counts = [];
    this.fetch = async (url, options = {}) => {
      const signal = AbortSignal.any([this.there.signal, ...(options.signal ? [options.signal] : [])]);
      const answer = await fetch(url, { ...options, signal });
      const { pathname: path } = new URL(url);
      if (answer.ok && path.endsWith("/v3/sync")) this.hear(await answer.clone().json());
      if (answer.ok && path.includes("/sendToDevice/m.room.encrypted/")) this.note(JSON.parse(options.body));
      return answer;
    };
  }

  note({ messages }) {
    this.traffic.push(...Object.values(messages).flatMap((devices) => Object.keys(devices)));
  }

  // What /sync says of the device's own keys: (one-time keys that are left, whether the fallback key is unused).
  hear({ device_one_time_keys_count: counts, device_unused_fallback_key_types: unused }) {
    const told = [counts?.signed_curve25519 ?? 0, unused?.includes("signed_curve25519")];
    if (String(told) !== String(this.counts.at(-1))) this.counts.push(told);
  }

  cut() {
    this.there.abort(new TypeError("there is no network"));
  }

  mend() {
    this.there = new AbortController();
  }
}

class Device {
  constructor() {
    this.network = new Network();
    this.asked = [];
  }

  async start({ base_url: baseUrl, user, password }) {
    const stranger = sdk.createClient({ baseUrl });
    const identifier = { type: "m.id.user", user };
    const login = await stranger.loginRequest({ type: "m.login.password", identifier, password });
    this.password = password;
    this.client = sdk.createClient({
      baseUrl,
      userId: login.user_id,
      deviceId: login.device_id,
      accessToken: login.access_token,
      fetchFn: this.network.fetch,
      cryptoCallbacks: { getSecretStorageKey: async ({ keys }) => [Object.keys(keys)[0], this.secretStorageKey] },
    });
    await this.client.initRustCrypto({ useIndexedDB: false });
    this.crypto = this.client.getCrypto();
    this.client.on(CryptoEvent.VerificationRequestReceived, (request) => this.asked.push(request));
    const ready = new Promise((resolve) => this.client.once(sdk.ClientEvent.Sync, resolve));
    await this.client.startClient({ initialSyncLimit: NO_GAPS, pendingEventOrdering: sdk.PendingEventOrdering.Detached });
    assert.equal(await ready, "PREPARED");
    return { user_id: login.user_id, device_id: login.device_id };
  }

  async cut() {
    this.network.cut();
  }

  async mend() {
    this.network.mend();
    this.client.retryImmediately(); // as an application does when it hears that there is a network
  }

  async traffic() {
    return this.network.traffic;
  }

  async counts() {
    return this.network.counts;
  }

  // Rooms.

  async createRoom({ invite }) {
    const content = { algorithm: "m.megolm.v1.aes-sha2", rotation_period_msgs: 10 };
    const initialState = [{ type: "m.room.encryption", state_key: "", content }];
    const { room_id: roomId } = await this.client.createRoom({ invite, initial_state: initialState });
    return roomId;
  }

  async join({ room_id: roomId }) {
    await until("one is invited", () => this.client.getRoom(roomId)?.getMyMembership() === "invite");
    await this.client.joinRoom(roomId);
  }

  // Until the room is encrypted and just these devices are known, by user.
  async know({ room_id: roomId, devices }) {
    const users = Object.keys(devices);
    const wanted = JSON.stringify(users.map((user) => [...devices[user]].sort()));
    let known;
    await until("the room is encrypted", () => this.client.getRoom(roomId)?.hasEncryptionStateEvent());
    await until("all are in", () => this.client.getRoom(roomId).getJoinedMemberCount() === users.length);
    await until(() => `one knows ${wanted}, but ${known}`, async () => {
      const told = await this.crypto.getUserDeviceInfo(users);
      known = JSON.stringify(users.map((user) => [...(told.get(user)?.keys() ?? [])].sort()));
      return known === wanted;
    });
  }

  // What could not be sent waits as a local echo: it is sent again under its transaction ID until the server says yes.
  async send({ room_id: roomId, body, transaction_id: transactionId }) {
    const room = this.client.getRoom(roomId);
    return until(`"${body}" is sent`, async () => {
      const waiting = room.getPendingEvents().find((event) => event.getTxnId() === transactionId);
      try {
        const sent = waiting
          ? await this.client.resendEvent(waiting, room)
          : await this.client.sendEvent(roomId, "m.room.message", { msgtype: "m.text", body }, transactionId);
        return sent.event_id;
      } catch (error) {
        if (error.httpStatus) throw error;
        return null;
      }
    });
  }

  // Every message from the beginning of the room, in the order of the room: (event ID, text or null, session).
  async read({ room_id: roomId }) {
    const timelines = this.client.getRoom(roomId).getUnfilteredTimelineSet();
    const timeline = timelines.getLiveTimeline();
    while (timeline.getPaginationToken(sdk.Direction.Backward)) {
      await this.client.paginateEventTimeline(timeline, { backwards: true, limit: 100 });
    }
    assert.equal(timelines.getTimelines().length, 1, "a gap in the timeline");
    const messages = [];
    for (const event of timeline.getEvents()) {
      if (event.getWireType() !== "m.room.encrypted") continue;
      await this.client.decryptEventIfNeeded(event);
      if (!event.isDecryptionFailure() && event.getContent().msgtype !== "m.text") continue;
      const body = event.isDecryptionFailure() ? null : event.getContent().body;
      messages.push([event.getId(), body, event.getWireContent().session_id]);
    }
    return messages;
  }

  // Keys.

  // Asks for the password only if the server does.
  withPassword = async (request) => {
    try {
      return await request(null);
    } catch (error) {
      if (error.httpStatus !== 401) throw error;
      this.wasAsked = true;
      const identifier = { type: "m.id.user", user: this.client.getUserId() };
      return request({ type: "m.login.password", identifier, password: this.password, session: error.data.session });
    }
  };

  // Says whether the password was asked for.
  async crossSign({ anew }) {
    this.wasAsked = false;
    await this.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: this.withPassword, setupNewCrossSigning: anew });
    await this.isSigned({ user_id: this.client.getUserId(), device_id: this.client.getDeviceId() });
    return this.wasAsked;
  }

  async signOwn({ device_id: deviceId }) {
    await this.crypto.crossSignDevice(deviceId);
  }

  async isSigned({ user_id: userId, device_id: deviceId }) {
    await until(`${deviceId} is signed by ${userId}`, async () =>
      (await this.crypto.getDeviceVerificationStatus(userId, deviceId))?.signedByOwner);
  }

  async isVerified({ user_id: userId }) {
    await until(`${userId} is verified`, async () => (await this.crypto.getUserVerificationStatus(userId)).isCrossSigningVerified());
  }

  // Secrets go into the account data, room keys into a backup; returns what the user writes down.
  async setUpRecovery() {
    const made = await this.crypto.createRecoveryKeyFromPassphrase();
    this.secretStorageKey = made.privateKey;
    await this.crypto.bootstrapSecretStorage({
      createSecretStorageKey: async () => made,
      setupNewSecretStorage: true,
      setupNewKeyBackup: true,
    });
    assert.ok(await this.crypto.isSecretStorageReady());
    return made.encodedPrivateKey;
  }

  // Until the server has the keys of just these sessions of a room.
  async isBackedUp({ room_id: roomId, sessions }) {
    const wanted = JSON.stringify([...sessions].sort());
    const version = await this.crypto.getActiveSessionBackupVersion();
    const path = `/room_keys/keys/${encodeURIComponent(roomId)}`;
    let kept;
    await until(() => `${wanted} is in the backup, but ${kept}`, async () => {
      const told = await this.client.http.authedRequest("GET", path, { version });
      kept = JSON.stringify(Object.keys(told.sessions).sort());
      return kept === wanted;
    });
  }

  // All that a new device has is what the user wrote down.
  async recover({ recovery_key: recoveryKey }) {
    this.secretStorageKey = decodeRecoveryKey(recoveryKey);
    await this.crypto.bootstrapCrossSigning({});
    await this.isSigned({ user_id: this.client.getUserId(), device_id: this.client.getDeviceId() });
    await this.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const { total, imported } = await this.crypto.restoreKeyBackup();
    assert.ok((await this.crypto.checkKeyBackupAndEnable()).trustInfo.trusted);
    return { total, imported };
  }

  // Take one key of another device: (the key, whether it is the fallback key). The IDs of the two kinds are alike.
  async claim({ user_id: userId, device_id: deviceId }) {
    const answer = await this.client.claimOneTimeKeys([[userId, deviceId]]);
    const [key] = Object.values(answer.one_time_keys[userId][deviceId]);
    return [key.key, key.fallback ?? false];
  }

  async remove({ device_id: deviceId }) {
    this.wasAsked = false;
    await this.withPassword((auth) => this.client.deleteDevice(deviceId, auth ?? undefined));
    return this.wasAsked;
  }

  // What another device can log in with, once.
  async loginToken() {
    const { login_token: token } = await this.withPassword((auth) => this.client.requestLoginToken(auth ?? undefined));
    return token;
  }

  // All that the server must not tell anybody.
  async secrets() {
    const text = (bytes) => (bytes ? [Buffer.from(bytes).toString("base64").replace(/=+$/, "")] : []);
    const crossSigning = await this.crypto.olmMachine.exportCrossSigningKeys();
    return [
      this.client.getAccessToken(),
      this.password,
      ...text(this.secretStorageKey),
      ...text(await this.crypto.getSessionBackupPrivateKey()),
      ...[crossSigning?.masterKey, crossSigning?.self_signing_key, crossSigning?.userSigningKey].filter(Boolean),
      ...(await this.crypto.exportRoomKeys()).map((session) => session.session_key),
    ];
  }

  // Verification, step by step as people do it.

  async askToVerify({ user_id: userId, device_id: deviceId, room_id: roomId }) {
    if (roomId) this.request = await this.crypto.requestVerificationDM(userId, roomId);
    else if (deviceId) this.request = await this.crypto.requestDeviceVerification(userId, deviceId);
    else this.request = await this.crypto.requestOwnUserVerification();
  }

  async agreeToVerify({ user_id: userId }) {
    this.request = await until(`${userId} asks`, () => this.asked.shift());
    assert.equal(this.request.otherUserId, userId);
    await this.request.accept();
  }

  async begin() {
    await until("both are ready", () => this.request.phase === VerificationPhase.Ready);
    this.verify(await this.request.startVerification("m.sas.v1"));
  }

  async follow() {
    this.verify(await until("the other begins", () => this.request.verifier));
  }

  verify(verifier) {
    this.sas = new Promise((resolve) => verifier.once(VerifierEvent.ShowSas, resolve));
    this.verification = verifier.verify();
    this.verification.catch(() => {}); // whoever confirms is told
  }

  // What the screen shows.
  async pictures() {
    const shown = await Promise.race([this.sas, this.verification.then(() => assert.fail("nothing was shown"))]);
    return shown.sas.emoji.map(([, name]) => name);
  }

  async confirm() {
    await (await this.sas).confirm();
    await this.verification;
    const done = () => this.request.phase === VerificationPhase.Done;
    if (!done()) await new Promise((resolve) => this.request.on(VerificationRequestEvent.Change, () => done() && resolve()));
  }
}

const devices = new Map();

async function answer(command) {
  try {
    if (command.do === "start") devices.set(command.device, new Device());
    return { id: command.id, ok: (await devices.get(command.device)[command.do](command.action)) ?? null };
  } catch (error) {
    return { id: command.id, error: String(error.stack ?? error) };
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) =>
  answer(JSON.parse(line)).then((told) => process.stdout.write(`${JSON.stringify(told)}\n`)),
);
lines.on("close", () => process.exit(0));
