// throng.js against servers of all sorts. Run by the Go tests, or: node --test web/testdata/throng.test.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as module from "../throng.js";
import { World, listen, outcome, turn } from "./server.mjs";

const { RawClient, Room, Throng, ThrongError, backoff, newKey } = module;
const same = assert.deepEqual;

test("messages come in order and once", () => {
  const w = new World();
  const { heard } = w.tea(5);
  w.socket.message(7, 5);
  w.socket.message(7, 5);
  w.socket.message(5, 4);
  w.socket.message(9, 7);
  w.socket.message(12, 3); // what lay between was removed from the store, and had been seen
  w.socket.say({ type: "message", room: "coffee", seq: 1, prev: 0, text: "not in this room" });
  same(heard, ["m7", "m9", "m12"]);
});

test("a message is what the server says of it", () => {
  const w = new World();
  const { room } = w.tea();
  const got = [];
  room.addEventListener("message", (e) => got.push(e.detail));
  w.socket.message(1, 0, { key: "k", later: "ignored" });
  w.socket.message(2, 1, { text: undefined, json: { a: [null] } });
  w.socket.message(3, 2, { text: undefined, data: "AAH/" });
  same(got[0], { type: "message", room: "tea", user: "ann", name: "Ann", seq: 1, prev: 0, time: 1, key: "k", text: "m1" });
  same(got[1].json, { a: [null] });
  same(got[2].data, new Uint8Array([0, 1, 255]));
});

test("the past that was asked for comes first, whatever its first prev", () => {
  const w = new World();
  const client = w.online();
  const heard = listen(client.join("tea", { last: 2 }));
  same(w.socket.entered({ seq: 9, replay: 2 }).last, 2);
  w.socket.message(6, 4);
  w.socket.message(9, 6);
  w.socket.message(10, 9);
  same(heard, ["m6", "m9", "m10"]);
});

test("a gap is fetched, page by page, before what comes live", () => {
  const w = new World();
  const { heard } = w.tea(1);
  w.socket.message(9, 7);
  w.socket.message(11, 9);
  const first = w.socket.next("history");
  same([first.room, first.after], ["tea", 1]);
  w.socket.ok(first, { epoch: "e1", messages: [said(3, 1), said(4, 3)], more: true });
  w.socket.message(12, 11);
  same(heard, ["m3", "m4"]);
  const second = w.socket.next("history");
  same(second.after, 4);
  w.socket.ok(second, { epoch: "e1", messages: [said(7, 4), said(9, 7)], more: false });
  same(heard, ["m3", "m4", "m7", "m9", "m11", "m12"]);
  w.socket.message(13, 12);
  same(heard.at(-1), "m13");
  same(w.socket.sent, []);
});

test("what history does not have any more is told", () => {
  const w = new World();
  const { heard } = w.tea(1);
  w.socket.message(9, 8);
  w.socket.ok(w.socket.next("history"), { epoch: "e1", messages: [said(6, 4), said(8, 6)], more: false });
  same(heard, ["gap 2-4", "m6", "m8", "m9"]);
});

test("a store that lags is asked again, and a gap is told when it never has it", () => {
  const w = new World();
  const { heard } = w.tea(1);
  w.socket.message(3, 2);
  const empty = { epoch: "e1", messages: [], more: false };
  w.socket.ok(w.socket.next("history"), empty);
  w.clock.pass(100);
  w.socket.ok(w.socket.next("history"), { ...empty, messages: [said(2, 1)] });
  same(heard, ["m2", "m3"]);

  w.socket.message(9, 5);
  for (const ms of [100, 200, 400, 0]) {
    w.socket.ok(w.socket.next("history"), empty);
    w.clock.pass(ms);
  }
  same(heard, ["m2", "m3", "gap 4-5", "m9"]);
  same(w.socket.sent, []);
});

test("more than is kept while fetching is fetched too", () => {
  const w = new World();
  const { heard } = w.tea(1);
  for (let seq = 3; seq <= 1500; seq++) w.socket.message(seq, seq - 1);
  w.socket.ok(w.socket.next("history"), { epoch: "e1", messages: [said(2, 1)], more: true });
  const rest = w.socket.next("history");
  same(rest.after, 1002);
  w.socket.ok(rest, { epoch: "e1", messages: range(1003, 1499).map((n) => said(n, n - 1)), more: true });
  w.socket.ok(w.socket.next("history"), { epoch: "e1", messages: [said(1500, 1499)], more: false });
  same(heard, range(2, 1500).map((n) => `m${n}`));
});

test("a new connection goes on where the old one ended", () => {
  const w = new World();
  const { heard } = w.tea(1);
  w.socket.message(4, 1);
  w.socket.message(9, 6); // a fetch that the end interrupts
  w.socket.shut();
  w.clock.pass(1000);
  w.socket.welcome();
  const join = w.socket.entered({ seq: 9, replay: 2 });
  same(join.since, { epoch: "e1", seq: 4 });
  w.socket.message(6, 4);
  w.socket.message(9, 6);
  same(heard, ["m4", "m6", "m9"]);
});

test("a gap that the server tells is told, and the room goes on behind it", () => {
  const w = new World();
  const { heard } = w.tea(3);
  w.socket.say({ type: "gap", room: "tea", epoch: "e1", from: 4, to: 8, oldest: 9 });
  w.socket.message(9, 8);
  w.socket.message(8, 7);
  same(heard, ["gap 4-8", "m9"]);
});

test("a new epoch counts anew", () => {
  const w = new World();
  const { heard, room } = w.tea(90);
  w.socket.message(91, 90);
  w.socket.shut();
  w.clock.pass(1000);
  w.socket.welcome();
  same(w.socket.entered({ epoch: "e2", seq: 2, replay: 2 }).since, { epoch: "e1", seq: 91 });
  w.socket.say({ type: "gap", room: "tea", epoch: "e2", from: 0, to: 91, oldest: 1, reset: true });
  w.socket.message(1, 0);
  w.socket.message(2, 1);
  same(heard, ["m91", "reset 0-91", "m1", "m2"]);
  same(room.seen, { epoch: "e2", seq: 2 });
  w.socket.message(9, 8); // being fetched when the numbers begin anew, on the same connection
  w.socket.say({ type: "gap", room: "tea", epoch: "e3", from: 0, to: 9, oldest: 1, reset: true });
  w.socket.ok(w.socket.next("history"), { epoch: "e2", messages: [said(8, 2)], more: false });
  w.socket.message(1, 0);
  same(heard.slice(4), ["reset 0-9", "m1"]);
});

test("a room that keeps nothing has neither places nor repeats", () => {
  const w = new World();
  const client = w.online();
  const room = client.join("tea", { last: 10 });
  const heard = listen(room);
  w.socket.entered({ recorded: false, epoch: undefined, seq: undefined });
  const say = (text, key) => w.socket.say({ type: "message", room: "tea", user: "ann", name: "Ann", time: 1, text, key });
  for (const [text, key] of [["a", "1"], ["a", "1"], ["b"], ["b"], ["c", "2"]]) say(text, key);
  same(heard, ["a", "b", "b", "c"]);
  same([room.recorded, room.seen], [false, null]);
  w.socket.shut();
  w.clock.pass(1000);
  w.socket.welcome();
  const again = w.socket.entered({ recorded: false });
  same([again.since, again.last], [undefined, 10]);
});

test("a publish is kept with its key until it is answered", async () => {
  const w = new World();
  const { client, room } = w.tea();
  const [a, b, c] = ["a", "b", "c"].map((text) => outcome(room.publish(text)));
  const sent = [1, 2, 3].map(() => w.socket.next("publish"));
  w.socket.ok(sent[0], { seq: 1, stored: true });
  await turn();
  same([a.now, b.now, client.pending], [{ seq: 1, stored: true, duplicate: false }, "pending", 2]);
  w.socket.shut();
  const d = outcome(room.publish("d"));
  w.clock.pass(1000);
  w.socket.welcome();
  w.socket.entered({ seq: 2 }); // joined before anything is said
  const again = [1, 2, 3].map(() => w.socket.next("publish"));
  same(again.map((m) => m.text), ["b", "c", "d"]);
  same(again.slice(0, 2).map((m) => m.key), sent.slice(1).map((m) => m.key));
  again.forEach((m, i) => w.socket.ok(m, { seq: 2 + i, stored: true, duplicate: i === 0 || undefined }));
  await turn();
  same([b.now, c.now.seq, d.now.seq, client.pending], [{ seq: 2, stored: true, duplicate: true }, 3, 4, 0]);
  w.socket.shut();
  w.clock.pass(1000);
  w.socket.welcome();
  w.socket.entered();
  same(w.socket.sent, []);
});

test("what is said before there is a connection waits for it", async () => {
  const w = new World();
  const client = w.client();
  const direct = outcome(client.publish("@bob", { json: { hi: 1 } }, { key: "mine" }));
  client.connect();
  same(w.socket.sent, []);
  w.socket.welcome();
  const sent = w.socket.next("publish");
  same([sent.room, sent.json, sent.key], ["@bob", { hi: 1 }, "mine"]);
  w.socket.ok(sent, { stored: false });
  await turn();
  same(direct.now, { seq: undefined, stored: false, duplicate: false });
});

test("no more than 32 are on their way, and no more than 1000 wait", async () => {
  const w = new World();
  const client = w.online();
  const all = range(1, 1001).map((n) => outcome(client.publish("tea", String(n))));
  await turn();
  same([w.socket.sent.length, all[999].now, all[1000].now], [32, "pending", "outbox_full"]);
  for (let n = 1; n <= 1000; n++) {
    const m = w.socket.next("publish");
    same(m.text, String(n));
    w.socket.ok(m, { seq: n, stored: true });
  }
  await turn();
  same(all.slice(0, 1000).map((o) => o.now.seq), range(1, 1000));
});

test("an error that goes by holds what is said; another is the sender's", async () => {
  const w = new World();
  const client = w.online();
  const [a, b] = ["a", "b"].map((text) => outcome(client.publish("tea", text)));
  const [first, second] = [w.socket.next("publish"), w.socket.next("publish")];
  w.socket.error(first, "unavailable", { retry: 3000 });
  w.socket.error(second, "unavailable", { retry: 3000 });
  const c = outcome(client.publish("tea", "c"));
  w.clock.pass(2999);
  same(w.socket.sent.filter((m) => m.type === "publish"), []);
  w.clock.pass(200);
  const again = [1, 2, 3].map(() => w.socket.next("publish"));
  same(again.map((m) => [m.text, m.key === first.key || m.key === second.key]), [["a", true], ["b", true], ["c", false]]);
  w.socket.error(again[0], "denied");
  w.socket.ok(again[1], { seq: 1, stored: true });
  w.socket.error(again[2], "store_full");
  await turn();
  same([a.now, b.now.seq, c.now], ["denied", 1, "store_full"]);
  same(client.pending, 0);
});

test("what is too long is refused here, and what ended a connection for it is not sent again", async () => {
  const w = new World();
  const client = w.client();
  client.connect();
  w.socket.welcome({ limits: { message: 200 } });
  const long = outcome(client.publish("tea", "ü".repeat(100)));
  await turn();
  same([long.now, w.socket.sent, client.pending], ["too_big", [], 0]);

  w.socket.shut();
  w.clock.pass(1000);
  w.socket.welcome({ limits: null });
  const [small, big] = [outcome(client.publish("tea", "s")), outcome(client.publish("tea", "b".repeat(999)))];
  w.socket.shut(1009, "message too big");
  w.clock.pass(10000);
  w.socket.welcome();
  same(w.socket.next("publish").text, "s");
  await turn();
  same([small.now, big.now, w.socket.sent], ["pending", "too_big", []]);
});

test("content is text, JSON or bytes", async () => {
  const w = new World();
  const client = w.online();
  for (const what of ["t", { text: "u" }, { json: null }, { data: new Uint8Array([0, 1, 255]) }, { data: new Uint8Array([9, 0, 1, 255]).subarray(1) }]) {
    client.publish("tea", what, { key: "k" });
    const { text, json, data } = w.socket.next("publish");
    w.socket.sent = [];
    same({ text, json, data }, { text: undefined, json: undefined, data: undefined,
      ...(what === "t" ? { text: "t" } : what.data ? { data: "AAH/" } : what) });
  }
  const bad = outcome(client.publish("tea", {}));
  await turn();
  assert.match(bad.now, /say a string/);
  same(new Set(range(1, 1000).map(newKey)).size, 1000);
});

test("signals, members, history and ping are asked once", async () => {
  const w = new World();
  const { client, room, heard } = w.tea();
  const [signal, members, history, time] = [room.signal({ json: { typing: true } }), room.members(),
    room.history({ before: 9, limit: 2 }), client.ping()].map(outcome);
  w.socket.ok(w.socket.next("signal"));
  w.socket.ok(w.socket.next("members"), { room: "tea", count: 3, members: [{ user: "ann", name: "Ann" }, { user: 7 }, null], complete: false });
  const asked = w.socket.next("history");
  same([asked.before, asked.limit, "after" in asked], [9, 2, false]);
  w.socket.ok(asked, { epoch: "e1", messages: [said(7, 6), said(8, 7)], more: true });
  w.socket.ok(w.socket.next("ping"), { time: 77 });
  await turn();
  same([signal.now, members.now, time.now], [undefined, { count: 3, members: [{ user: "ann", name: "Ann" }], complete: false }, 77]);
  same([history.now.messages.map((m) => m.seq), history.now.messages[0].room, history.now.more], [[7, 8], "tea", true]);
  w.socket.say({ type: "signal", room: "tea", user: "ann", name: "Ann", json: { typing: true } });
  same(heard, ["signal {\"typing\":true}"]);

  const lost = outcome(room.history());
  w.socket.shut();
  const offline = outcome(room.signal("x"));
  await turn();
  same([lost.now, offline.now], ["lost", "offline"]);
});

test("who is here is kept up to date", () => {
  const w = new World();
  const { room } = w.tea();
  const told = [];
  room.addEventListener("presence", (e) => told.push(e.detail));
  const say = (more) => w.socket.say({ type: "presence", room: "tea", ...more });
  say({ count: 2, members: [{ user: "a", name: "Ann" }, { user: "b", name: "Bob" }], complete: true });
  say({ count: 2, joined: [{ user: "c", name: "Cem" }], left: [{ user: "a", name: "Ann" }] });
  same([...room.people], [["b", "Bob"], ["c", "Cem"]]);
  same([room.count, room.complete, told[1].left], [2, true, [{ user: "a", name: "Ann" }]]);
});

test("a bye says whether and when to come back", () => {
  const w = new World();
  const client = w.online();
  const bye = (code, more, close = code) => {
    w.socket.say({ type: "bye", code, reason: "r", ...more });
    w.socket.shut(close, "");
  };
  w.random = 1;
  bye(1001, { again: true, in: 4200 });
  same([client.state, client.why], ["waiting", "restart"]);
  w.clock.pass(4199);
  client.wake(); // a turn is kept to
  same(w.sockets.length, 1);
  w.clock.pass(1);
  same(w.sockets.length, 2);
  w.socket.welcome();
  bye(1001, { again: true, in: 0 }); // and again at once: this could go on for ever
  w.clock.pass(999);
  same(w.sockets.length, 2);
  w.clock.pass(1);
  w.socket.welcome();
  w.clock.pass(5000);
  bye(1001, { again: true, in: 1e12 });
  w.clock.pass(600000);
  same(w.sockets.length, 4);
  w.socket.welcome();
  bye(4408, { again: true, in: 0 });
  same([client.state, client.why], ["away", "idle"]);
  client.wake();
  w.socket.welcome();
  bye(4403, { again: false });
  same([client.state, client.why], ["away", "refused"]);
  w.clock.pass(1e7);
  same([w.sockets.length, w.clock.size], [5, 0]);
  client.wake();
  w.socket.welcome();
  bye(1001, { again: false }); // a code that by itself would mean to come back
  same([client.state, client.why], ["away", "refused"]);
});

test("a bye whose Close never comes is a bye", () => {
  const w = new World();
  const client = w.online();
  w.socket.say({ type: "bye", code: 4403, reason: "kicked", again: false });
  same(client.state, "online");
  w.clock.pass(2000);
  same([client.state, client.why, w.socket.readyState], ["away", "refused", 3]);
});

test("a Close without a bye means what its code says", () => {
  for (const [code, reason, told, ms] of [
    [1001, "restart; reconnect in 700 ms", "waiting restart", 700],
    [1001, "rebalance; reconnect in 700 ms", "waiting restart", 700],
    [1001, "restart", "waiting lost", 500],
    [1006, "", "waiting lost", 500],
    [4429, "too many messages", "waiting fast", 2500],
    [4401, "unauthorized", "away refused", Infinity],
    [4403, "kicked", "away refused", Infinity],
    [4408, "idle", "away idle", Infinity],
  ]) {
    const w = new World();
    const client = w.online();
    w.socket.shut(code, reason);
    same(client.told.at(-1), told, String(code));
    w.clock.pass(Math.min(ms, 1e7) - 1);
    same(w.sockets.length, 1, String(code));
    w.clock.pass(1);
    same(w.sockets.length, ms === Infinity ? 1 : 2, String(code));
  }
});

test("failures back off, from nothing to a bound that doubles, and a connection that stands forgets them", () => {
  const w = new World();
  const client = w.client();
  client.connect();
  for (const bound of [1000, 2000, 4000, 8000, 16000, 30000, 30000]) {
    w.random = 1;
    w.socket.shut();
    w.clock.pass(bound - 1);
    const before = w.sockets.length;
    w.clock.pass(1);
    same(w.sockets.length, before + 1, String(bound));
  }
  w.random = 0;
  w.socket.shut();
  w.clock.pass(0);
  same(client.failures, 8);
  w.socket.welcome();
  w.clock.pass(4999);
  w.socket.shut();
  same(client.failures, 9);
  w.clock.pass(0);
  w.socket.welcome();
  w.clock.pass(5000);
  w.socket.shut();
  same(client.failures, 1);
  for (let i = 0; i < 2000; i++) {
    const ms = backoff(i % 40);
    assert.ok(ms >= 0 && ms <= Math.min(30000, 1000 * 2 ** (i % 40)));
  }
});

test("a handshake or welcome that does not come is a failure", () => {
  const w = new World();
  const client = w.client();
  client.connect();
  w.clock.pass(15000);
  same(client.told, ["connecting", "waiting lost"]);
  w.clock.pass(1000);
  w.socket.open();
  same(client.state, "connecting");
  w.clock.pass(15000);
  same(client.state, "waiting");
});

test("silence is asked about, and given up when nothing answers", () => {
  const w = new World();
  const { client } = w.tea();
  w.clock.pass(15000);
  w.socket.message(1, 0);
  w.clock.pass(19999);
  same(w.socket.sent, []);
  w.clock.pass(1);
  w.socket.ok(w.socket.next("ping"), { time: 5 });
  w.clock.pass(20000);
  w.socket.next("ping");
  w.clock.pass(19999);
  same(client.state, "online");
  w.clock.pass(1);
  same([client.state, client.why, w.socket.readyState], ["waiting", "lost", 3]);
});

test("a timer that is late asks before it gives up", () => {
  const w = new World();
  const { client } = w.tea();
  w.clock.stall(3600000);
  w.clock.pass(0);
  same(client.state, "online");
  w.socket.ok(w.socket.next("ping"), { time: 5 });
  w.clock.pass(20000);
  same(client.state, "online");
});

test("hostile frames do nothing", () => {
  const w = new World();
  const { client, room, heard } = w.tea();
  const evil = ["", "{", "null", "1", "[]", "\"x\"", "{}", "{\"type\":\"constructor\"}", "[".repeat(100000),
    "{\"type\":\"ok\",\"id\":\"__proto__\"}", "{\"type\":\"ok\",\"id\":99999}", "{\"type\":\"error\",\"code\":{}}",
    "{\"type\":\"message\",\"room\":\"__proto__\",\"seq\":1}", "{\"type\":\"message\",\"room\":{},\"seq\":1}",
    "{\"type\":\"gap\",\"room\":\"tea\",\"from\":{},\"to\":\"x\"}", "{\"type\":\"gap\",\"room\":\"tea\",\"to\":-1}",
    "{\"type\":\"presence\",\"room\":\"tea\",\"count\":-5,\"joined\":{},\"left\":[null,1],\"members\":7}",
    "{\"type\":\"message\",\"__proto__\":{\"room\":\"tea\",\"text\":\"x\"}}"];
  for (const text of evil) w.socket.raw(text);
  w.socket.raw(new ArrayBuffer(3));
  w.socket.welcome({ user: "somebody else" }); // a second one
  same([client.state, client.user, room.count, heard], ["online", "~me", 1, []]);
  w.socket.say({ type: "message", room: "tea", seq: 1e300, prev: {}, user: 7, name: null, text: { toString: 1 }, data: 3, json: { a: 1 } });
  w.socket.say({ type: "message", room: "tea", seq: 1, prev: "x", text: undefined, data: "***" });
  w.socket.message(2, 1);
  same(heard, ["{\"a\":1}", "[]", "m2"]);
  same({}.polluted, undefined);
});

test("hostile history neither loops for ever nor breaks the room", () => {
  const w = new World();
  const { heard } = w.tea(1);
  w.socket.message(9, 5);
  const answers = [{ epoch: "e1", messages: [null, 7, {}, { seq: "x" }, said(1, 0)], more: true }, { epoch: "e1", messages: "x", more: true },
    { epoch: "other", messages: [said(2, 1)], more: true }, {}];
  for (const answer of answers) {
    w.socket.ok(w.socket.next("history"), answer);
    w.clock.pass(1000);
  }
  same(heard, ["gap 2-5", "m9"]);
});

test("a guest has a name and a session, kept where the application says", () => {
  const store = new Map();
  const storage = { getItem: (k) => store.get(k) ?? null, setItem: (k, v) => store.set(k, v) };
  const w = new World();
  const client = w.online({ name: "Ann & Bob", storage });
  same([client.user, client.name, client.guest, client.limits.message], ["~me", "Me", true, 65536]);
  same([w.socket.url.href, w.socket.protocols], ["wss://chat.example/?name=Ann+%26+Bob", ["throng.v1"]]);
  client.close();
  w.online({ storage });
  same(w.socket.url.search, "?session=secret");
  same([...store], [["throng.session chat.example", "secret"]]);
  const broken = { getItem() { throw new Error("no"); }, setItem() { throw new Error("no"); } };
  same(w.online({ storage: broken }).state, "online");
  w.socket.shut();
  w.clock.pass(1000);
  same(w.socket.url.search, "?session=secret"); // it is still known here
});

test("a guest's new name is wished for ever after", async () => {
  const w = new World();
  const client = w.online({ name: "Ann" });
  const renamed = outcome(client.rename("Anna"));
  const auth = w.socket.next("auth");
  same(auth.name, "Anna");
  w.socket.ok(auth, { user: "~me", name: "Anna" });
  await turn();
  same([renamed.now, client.name], ["Anna", "Anna"]);
  w.socket.shut();
  w.clock.pass(1000);
  same(w.socket.url.searchParams.get("name"), "Anna");
});

test("a token is asked for at each connect and when it expires", async () => {
  const w = new World();
  let n = 0;
  const client = w.client({ token: async () => `jwt.${++n}` });
  client.connect();
  await turn();
  same([w.socket.protocols, w.socket.url.search], [["throng.v1", "throng.token.jwt.1"], ""]);
  w.socket.welcome({ user: "ann", guest: false, session: undefined, expires: 5000 });
  same([client.expires, client.guest], [5000, false]);
  w.socket.say({ type: "error", code: "token_expiring", message: "soon", hint: "auth" });
  await turn();
  const auth = w.socket.next("auth");
  same(auth.token, "jwt.2");
  w.socket.ok(auth, { user: "ann", name: "Ann", expires: 9000 });
  await turn();
  same(client.expires, 9000);
  for (const state of ["waiting lost", "waiting lost", "waiting lost", "away refused"]) {
    w.socket.shut(4401, "unauthorized");
    same(client.told.at(-1), state);
    w.clock.pass(10000);
    await turn();
  }
  same([n, w.sockets.length], [5, 4]);
});

test("an application without a token is asked again", async () => {
  const w = new World();
  let token;
  const client = w.client({ token: () => token ?? Promise.reject(new Error("signed out")) });
  client.connect();
  await turn();
  same(client.told, ["connecting", "waiting token"]);
  token = "jwt";
  client.wake();
  await turn();
  same(w.socket.protocols[1], "throng.token.jwt");
});

test("an expiry that nobody can help is told", async () => {
  const w = new World();
  const client = w.client({ token: "jwt" });
  const errors = [];
  client.addEventListener("error", (e) => errors.push(e.detail));
  client.connect();
  w.socket.welcome();
  w.socket.say({ type: "error", code: "token_expiring", message: "soon", hint: "send auth" });
  await turn();
  same(errors.map((e) => [e.code, e.message, e.hint]), [["token_expiring", "soon", "send auth"]]);
  assert.ok(errors[0] instanceof ThrongError);
});

test("the inbox is one's own, whoever one turns out to be", () => {
  const w = new World();
  const client = w.client();
  const inbox = client.inbox({ last: 5 });
  const heard = listen(inbox);
  client.connect();
  w.socket.welcome();
  const join = w.socket.entered({ seq: 3, replay: 1 });
  same([join.room, join.last, client.inbox() === inbox, client.join("@~me") === inbox], ["@~me", 5, true, true]);
  w.socket.message(3, 1, { room: "@~me" });
  same(heard, ["m3"]);
  w.socket.shut();
  w.clock.pass(1000);
  w.socket.welcome({ user: "~other" }); // the session was forgotten
  const other = w.socket.entered();
  same([other.room, other.since, inbox.name], ["@~other", undefined, "@~other"]);
});

test("a join is asked once, tried again where that helps, and refused where not", async () => {
  const w = new World();
  const client = w.online();
  const [tea, vip] = [client.join("tea"), client.join("vip")];
  same([client.join("tea") === tea, w.socket.sent.length], [true, 2]);
  const [ready, refused] = [outcome(tea.ready), outcome(vip.ready)];
  w.socket.error(w.socket.next("join"), "unavailable", { retry: 500 });
  w.socket.error(w.socket.next("join"), "denied", { room: "vip" });
  await turn();
  same([refused.now, vip.state, vip.error.hint, tea.state], ["denied", "refused", "wait", "joining"]);
  w.clock.pass(600);
  w.socket.entered();
  await turn();
  same([ready.now, tea.state, tea.alias], [tea, "joined", "Me"]);
  same(w.socket.sent, []);
});

test("leaving ends a membership, and what was on its way is not of the next", () => {
  const w = new World();
  const { client, room, heard } = w.tea();
  room.leave();
  room.leave();
  const next = client.join("tea");
  const later = listen(next);
  w.socket.message(1, 0);
  w.socket.ok(w.socket.next("leave"));
  w.socket.entered({ seq: 1 });
  w.socket.message(2, 1);
  same([heard, later, room.state, client.rooms], [[], ["m2"], "left", [next]]);
});

test("a room is read by iteration, gaps too", async () => {
  const w = new World();
  const { room } = w.tea(1);
  const read = [];
  const reading = (async () => { for await (const m of room) read.push(m.type === "gap" ? `gap ${m.to}` : m.text); })();
  w.socket.message(2, 1);
  w.socket.message(3, 2);
  await turn();
  w.socket.say({ type: "gap", room: "tea", epoch: "e1", from: 4, to: 5, oldest: 6 });
  w.socket.message(6, 5);
  room.leave();
  await reading;
  same(read, ["m2", "m3", "gap 5", "m6"]);

  const vip = w.online().join("vip");
  const denied = outcome((async () => { for await (const m of vip) assert.fail(m); })());
  w.socket.error(w.socket.next("join"), "denied");
  await turn();
  same(denied.now, "denied");
});

test("an iteration that nobody reads ends, and breaking out of one is clean", async () => {
  const w = new World();
  const { room } = w.tea(0);
  const unread = room[Symbol.asyncIterator]();
  for (let n = 1; n <= 10001; n++) w.socket.message(n, n - 1);
  let n = 0;
  const end = outcome((async () => { for (;;) { if ((await unread.next()).done) return; n++; } })());
  await turn();
  same([n, end.now], [10001, "unread"]);
  w.socket.message(10002, 10001);
  for await (const m of iterateAfter(room, () => w.socket.message(10003, 10002))) {
    same(m.text, "m10003");
    break;
  }
});

test("close is the end of everything", async () => {
  const w = new World();
  const { client, room } = w.tea();
  const said = outcome(room.publish("x"));
  const asked = outcome(room.history());
  client.close();
  await turn();
  same([said.now, asked.now, room.state, client.state, w.clock.size, w.socket.readyState], ["closed", "lost", "left", "closed", 0, 3]);
});

test("a raw connection sends when it is there, and comes back", () => {
  const w = new World();
  const raw = new RawClient("ws://chat.example/rooms/tea", { WebSocket: w.WebSocket, clock: w.clock, random: () => 0.5 });
  const heard = [];
  raw.addEventListener("message", (e) => heard.push(e.data));
  raw.connect();
  same([raw.send("\"no\""), raw.state, w.socket.protocols], [false, "connecting", []]);
  w.socket.open();
  w.socket.raw("text");
  same([raw.send("\"yes\""), heard, w.socket.sent], [true, ["text"], ["yes"]]);
  w.socket.shut();
  w.clock.pass(500);
  same(w.sockets.length, 2);
  raw.close();
  same([raw.state, w.clock.size], ["closed", 0]);
});

test("the types name what is there, and nothing else", () => {
  const types = readFileSync(new URL("../throng.d.ts", import.meta.url), "utf8");
  const exported = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map((m) => m[1]);
  same(exported.sort(), Object.keys(module).sort());
  const w = new World();
  for (const [Class, one] of [[Throng, w.client()], [Room, w.client().join("tea")], [RawClient, new RawClient("ws://x", w)]]) {
    const body = new RegExp(`^export class ${Class.name} [^]*?^}`, "m").exec(types)[0];
    const declared = [...body.matchAll(/^ {2}(?:readonly )?(\w+)[(:?]/gm)].map((m) => m[1]);
    const there = [...Object.getOwnPropertyNames(Class.prototype), ...Object.keys(one)].filter((n) => n !== "told");
    same([...new Set([...declared, "constructor"])].filter((n) => n !== "addEventListener").sort(), [...new Set(there)].sort(), Class.name);
  }
});

function said(seq, prev) { return { seq, prev, v: 1, time: seq, user: "ann", name: "Ann", text: `m${seq}` }; }
function range(from, to) { return Array.from({ length: to - from + 1 }, (_, i) => from + i); }

// iterateAfter begins an iteration and then does something that it will see.
function iterateAfter(room, act) {
  const feed = room[Symbol.asyncIterator]();
  act();
  return feed;
}
