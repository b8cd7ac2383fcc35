// A client of throng: rooms that keep their word, over a connection that comes back by itself. One module,
// without dependencies, for browsers and for Node; throng.d.ts has its types, docs/PROTOCOL.md the protocol.
//
//   const throng = new Throng("wss://chat.example", { name: "Ann", storage: localStorage });
//   throng.addEventListener("state", (e) => tell(e.detail)); // {state, why, until, code, reason}
//   const tea = throng.join("tea", { last: 50 });
//   tea.addEventListener("message", (e) => show(e.detail)); // or: for await (const m of tea)
//   throng.connect();
//   await tea.publish("hello"); // {seq, stored}; kept, and sent again with the same key, until it is answered
//
// A client is connecting, online, closed (by close(), or not begun), or
//   waiting  to connect at `until`, a Date.now(); why:
//     lost     the connection or the handshake failed, or nothing was heard for too long
//     network  the same, and there is no network; when there is one it connects at once
//     restart  the server restarts and gave out turns: kept to, and no failure
//     fast     too much was said too quickly
//     token    the application had no token to give
//   away     until wake(); why: idle (silent for too long) or refused

const PROTOCOL = "throng.v1";
const BASE_MS = 1000; // the first wait is up to this
const CAP_MS = 30000; // and none is longer
const FAST_MS = 2000; // more for who was too fast
const STABLE_MS = 5000; // a connection that stood this long ends the row of failures
const HANDSHAKE_MS = 15000; // browsers wait for minutes
const TURN_MAX_MS = 600000; // a restart's turn is believed up to here
const BYE_MS = 2000; // after a bye the Close is waited for, not for ever
const BEAT_MS = 25000; // where the server names no heartbeat
const BEAT_MIN_MS = 1000;
const FLYING_MAX = 32; // publishes sent and not answered
const OUTBOX_MAX = 1000; // publishes not answered, sent or not
const EARLY_MAX = 1000; // live messages kept while those before them are fetched
const PAGE_MAX = 500; // messages asked for at once to close a gap
const LATE_TRIES = 3; // a store may lag behind what is live
const LATE_MS = 100; // before the first of them; it doubles
const KEYS_MAX = 256; // senders' keys remembered where no seq tells a repeat
const UNREAD_MAX = 10000; // messages that an iteration may leave unread
const AGAIN = ["rate", "unavailable", "internal"]; // errors that go by

// backoff is the wait after so many failures in a row: from nothing to a bound that doubles, so that
// those who were thrown out together do not come back together.
export function backoff(failures, random = Math.random) {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** failures);
}

// turn is the wait that a close asks for, or -1.
export function turn(code, reason) {
  const m = code === 1001 && /^(?:restart|rebalance); reconnect in (\d{1,9}) ms$/.exec(reason);
  return m ? Math.min(m[1], TURN_MAX_MS) : -1;
}

// newKey makes what tells a message from all others of its sender.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(15))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

// ThrongError is an answer that says no: the server's, or of this client (offline, closed, lost, outbox_full).
export class ThrongError extends Error {
  constructor(code, message = code, { hint = "", retry, room } = {}) {
    super(message);
    this.name = "ThrongError";
    Object.assign(this, { code, hint, retry, room });
  }
}

const realClock = {
  now: () => performance.now(),
  set: (f, ms) => setTimeout(f, ms),
  clear: (timer) => clearTimeout(timer),
};

// verdict is what a Close means: to stay away, to come back after ms, or to back off.
function verdict(code, reason) {
  const away = { 4408: "idle", 4401: "refused", 4403: "refused" }[code];
  if (away) return { away };
  const ms = turn(code, reason);
  if (ms >= 0) return { ms, why: "restart" };
  return code === 4429 ? { more: FAST_MS, why: "fast" } : {};
}

// RawClient is a connection that comes back and nothing else: what the server sends is an event, what is
// sent while it is down is not sent. It speaks to raw rooms by itself; Throng stands on it.
export class RawClient extends EventTarget {
  #address; // where to: asked anew each time
  #options;
  #clock;
  #Socket;
  #socket; // the current one; what an older one still says is not heard
  #attempt = 0;
  #timer;
  #since; // when the socket opened
  #cut; // the network went away while online
  #turns = 0; // given out in a row, each to a connection that did not stand
  #now = { state: "closed" };
  #listening;
  failures = 0; // in a row

  // url is a string, or a function that returns {url, protocols} or a promise of it.
  constructor(url, options = {}) {
    super();
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#Socket = options.WebSocket ?? globalThis.WebSocket;
    if (!this.#Socket) throw new TypeError("there is no WebSocket here: give one as an option, such as that of the module ws");
    this.#address = typeof url === "function" ? url : () => ({ url, protocols: options.protocols ?? [] });
  }

  get state() { return this.#now.state; }
  get why() { return this.#now.why; }

  connect() {
    if (!this.#listening) {
      const { signal } = this.#listening = new AbortController();
      globalThis.addEventListener?.("offline", () => { this.#cut = this.state === "online"; }, { signal });
      globalThis.addEventListener?.("online", () => this.#network(), { signal });
    }
    this.#drop();
    const attempt = ++this.#attempt;
    const current = (f) => (e) => { if (attempt === this.#attempt) f(e); };
    this.#timer = this.#clock.set(() => this.end(), HANDSHAKE_MS);
    this.#tell({ state: "connecting" });
    const address = this.#address();
    if (address.then) address.then(current((a) => this.#open(a, current)), current(() => this.end(1006, "", { why: "token" })));
    else this.#open(address, current);
  }

  // send says whether the connection took it. Whether it arrived, only an answer shows.
  send(data) {
    if (this.state !== "online" || this.#socket.readyState !== 1) return false;
    this.#socket.send(data);
    return true;
  }

  // wake is the user's wish to be online. A wait that the server asked for goes on.
  wake() {
    const { state, why } = this.#now;
    if (state === "away" || (state === "waiting" && ["lost", "network", "token"].includes(why))) this.connect();
  }

  // end gives up the connection as if it had been closed with this code.
  end(code = 1006, reason = "", judged) {
    if (this.state === "closed") return;
    if (this.state === "online" && this.#clock.now() - this.#since >= STABLE_MS) this.failures = this.#turns = 0;
    this.#drop();
    const said = judged ?? this.#options.verdict?.(code, reason) ?? verdict(code, reason);
    const offline = globalThis.navigator?.onLine === false;
    reason = said.reason ?? reason;
    if (said.away) this.#tell({ state: "away", why: said.away, code, reason });
    else if (said.ms >= 0) this.#wait(said.ms + (this.#turns++ ? this.#backoff() : 0), said.why, code, reason);
    else this.#wait((said.more ?? 0) + this.#backoff(), said.why ?? (offline ? "network" : "lost"), code, reason);
  }

  close() {
    this.#listening?.abort();
    this.#listening = null;
    this.#drop();
    this.#tell({ state: "closed" });
  }

  #open({ url, protocols }, current) {
    let socket;
    try {
      socket = this.#socket = new this.#Socket(url, protocols);
    } catch {
      return this.end();
    }
    socket.binaryType = "arraybuffer";
    socket.onopen = current(() => this.#opened());
    socket.onmessage = current((e) => this.dispatchEvent(new MessageEvent("message", { data: e.data })));
    socket.onclose = current((e) => this.end(e.code, e.reason));
    socket.onerror = () => {}; // a close follows, and says more
  }

  #opened() {
    this.#clock.clear(this.#timer);
    this.#since = this.#clock.now();
    this.#tell({ state: "online" });
  }

  #backoff() { return backoff(this.failures++, this.#options.random); }

  #wait(ms, why, code, reason) {
    this.#timer = this.#clock.set(() => this.connect(), ms);
    this.#tell({ state: "waiting", why, until: Date.now() + ms, code, reason });
  }

  // A connection older than the network is most likely dead, and would show it only after minutes.
  #network() {
    if (this.#cut && this.state === "online") this.connect();
    else if (this.state === "waiting") this.wake();
    this.#cut = false;
  }

  #drop() {
    this.#attempt++;
    this.#clock.clear(this.#timer);
    this.#socket?.close();
    this.#socket = null;
  }

  #tell(now) {
    this.#now = now;
    this.dispatchEvent(new CustomEvent("state", { detail: now }));
  }
}

// What only Throng and its rooms say to each other.
const [enter, hear, lose, rename, part] = ["enter", "hear", "lose", "rename", "part"].map(Symbol);

const isCount = (n) => Number.isSafeInteger(n) && n >= 0;
const word = (s) => (typeof s === "string" ? s : "");

// contentOf is what a publish or signal carries: text, any JSON, or bytes.
function contentOf(what) {
  if (typeof what === "string") return { text: what };
  if (typeof what?.text === "string") return { text: what.text };
  if (what?.json !== undefined) return { json: what.json };
  if (typeof what?.data === "string") return { data: what.data };
  if (what?.data) {
    const bytes = what.data instanceof ArrayBuffer ? new Uint8Array(what.data)
      : new Uint8Array(what.data.buffer, what.data.byteOffset, what.data.byteLength);
    return { data: btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join("")) };
  }
  throw new TypeError("say a string, {text}, {json} or {data}");
}

// said is a message or signal as a server should have sent it, whatever it sent.
function said(frame, room) {
  const { seq, prev, time, user, name, key, text, json, data } = frame;
  const m = { type: frame.type === "signal" ? "signal" : "message", room, user: word(user), name: word(name) };
  if (isCount(seq)) Object.assign(m, { seq, prev: isCount(prev) ? prev : 0 });
  if (Number.isFinite(time)) m.time = time;
  if (typeof key === "string") m.key = key;
  if (typeof text === "string") m.text = text;
  else if (typeof data === "string") m.data = bytesOf(data);
  else if (json !== undefined) m.json = json;
  else m.text = "";
  return m;
}

function bytesOf(base64) {
  try { return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)); } catch { return new Uint8Array(); }
}

const people = (list) => (Array.isArray(list) ? list : [])
  .filter((p) => typeof p?.user === "string").map((p) => ({ user: p.user, name: word(p.name) || p.user }));

// Room is a room that one is in, or wants to be in: it is joined again on each new connection. Its messages
// come as events and by iteration, each once and in the room's order; what is missing is told as a gap.
export class Room extends EventTarget {
  #wire; // {ask, say, leave, clock}
  #last;
  #epoch = null;
  #seen = null; // the newest seq delivered; null: whatever comes next is next
  #early = []; // live messages whose predecessors are being fetched
  #ahead = 0; // the newest seq heard of while fetching
  #fetching = false;
  #timer;
  #fails = 0;
  #keys = new Set();
  #feeds = new Set();
  #settle;
  state = "joining"; // joined, refused, left
  error = null; // why refused
  recorded = null; // whether what is said here is kept
  alias = ""; // one's own name in this room
  count = 0; // people here
  people = new Map(); // those that are known: user -> name
  complete = false; // whether they are all

  constructor(name, wire, last = 0) {
    super();
    this.name = name;
    this.#wire = wire;
    this.#last = last;
    this.ready = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    this.ready.catch(() => {}); // whoever wants to know of it asks
  }

  get seen() { return this.#seen === null ? null : { epoch: this.#epoch, seq: this.#seen }; }

  publish(what, options) { return this.#wire.publish(this.name, what, options); }
  signal(what) { return this.#wire.signal(this.name, what); }

  async history({ before, after, limit } = {}) {
    const ok = await this.#wire.promise({ type: "history", room: this.name, before, after, limit });
    const messages = (Array.isArray(ok.messages) ? ok.messages : []).map((m) => said(m ?? {}, this.name));
    return { messages, more: ok.more === true, epoch: ok.epoch ?? null };
  }

  async members() {
    const ok = await this.#wire.promise({ type: "members", room: this.name });
    this.#present({ count: ok.count, members: ok.members ?? [], complete: ok.complete });
    return { count: this.count, members: people(ok.members), complete: this.complete };
  }

  leave() { return this.#wire.leave(this); }

  [Symbol.asyncIterator]() {
    const feed = new Feed(() => this.#feeds.delete(feed));
    if (this.state === "left") feed.end();
    else if (this.state === "refused") feed.end(this.error);
    else this.#feeds.add(feed);
    return feed;
  }

  // enter joins on a connection that has just come to be.
  [enter]() {
    const join = { type: "join", room: this.name };
    if (this.#seen !== null && this.#epoch !== null) join.since = { epoch: this.#epoch, seq: this.#seen };
    else if (this.#last > 0) join.last = this.#last;
    this.state = "joining";
    this.#wire.ask(join, (ok) => this.#entered(ok, join), (error) => this.#refused(error));
  }

  #entered(ok, join) {
    if (this.state !== "joining" || join.room !== this.name) return;
    const epoch = ok.recorded === false ? null : ok.epoch ?? null;
    // With a part of the past in front, the first message is whichever it is; without, it follows the head.
    if (epoch === null || epoch !== join.since?.epoch) {
      this.#seen = epoch === null || join.since || ok.replay > 0 || !isCount(ok.seq) ? null : ok.seq;
    }
    this.#epoch = epoch;
    this.#fails = 0;
    Object.assign(this, { state: "joined", error: null, recorded: epoch !== null, alias: word(ok.name) });
    this.#present({ count: ok.count });
    this.#settle.resolve(this);
    this.#tell("joined", { recorded: this.recorded, name: this.alias, count: this.count,
      resumed: !!join.since, replay: isCount(ok.replay) ? ok.replay : 0 });
  }

  #refused(error) {
    if (this.state === "left" || error.code === "lost") return;
    if (AGAIN.includes(error.code)) {
      this.#timer = this.#wire.clock.set(() => this[enter](), this.#wire.pause(error, this.#fails++));
      return;
    }
    this.state = "refused";
    this.error = error;
    this.#settle.reject(error);
    this.#endFeeds(error);
    this.#tell("refused", error);
  }

  // lose is the end of a connection. What was being fetched comes with the next one's replay.
  [lose]() {
    this.#wire.clock.clear(this.#timer);
    this.#early = [];
    this.#ahead = 0;
    this.#fetching = false;
    if (this.state === "joined") this.state = "joining";
  }

  [rename](name) {
    if (name === this.name) return;
    this.name = name;
    this.#epoch = this.#seen = null;
  }

  [part](error) {
    this[lose]();
    this.state = "left";
    this.#settle.reject(error ?? new ThrongError("left", "the room was left"));
    this.#endFeeds();
    this.#tell("left");
  }

  [hear](frame) {
    if (this.state !== "joined") return; // of an earlier membership
    if (frame.type === "message") this.#message(said(frame, this.name));
    else if (frame.type === "signal") this.#tell("signal", said(frame, this.name));
    else if (frame.type === "presence") this.#present(frame);
    else if (frame.type === "gap") this.#gap(frame);
    else if (frame.type === "error") this.#tell("error", errorOf(frame));
  }

  #message(m) {
    if (m.seq === undefined) {
      if (!this.#repeats(m)) this.#deliver(m);
    } else if (this.#fetching) {
      this.#keep(m);
    } else if (this.#seen === null || m.prev <= this.#seen) {
      this.#next(m);
    } else {
      this.#keep(m);
      this.#fetching = true;
      this.#fetch();
    }
  }

  // A message without seq that was sent again, since its answer was lost, is known by its key.
  #repeats({ user, key }) {
    if (key === undefined) return false;
    const mark = JSON.stringify([user, key]);
    if (this.#keys.has(mark)) return true;
    this.#keys.add(mark);
    if (this.#keys.size > KEYS_MAX) this.#keys.delete(this.#keys.values().next().value);
    return false;
  }

  #keep(m) {
    if (m.seq <= this.#seen || m.seq <= this.#ahead) return;
    this.#ahead = m.seq;
    if (this.#early.length < EARLY_MAX) this.#early.push(m);
  }

  #next(m) {
    if (this.#seen !== null && m.seq <= this.#seen) return;
    this.#seen = m.seq;
    this.#deliver(m);
  }

  #deliver(m) {
    for (const feed of this.#feeds) feed.push(m);
    this.#tell("message", m);
  }

  // fetch asks for what is missing before the earliest that is kept, and goes on until nothing is.
  #fetch(tries = 0) {
    const goal = this.#early.length ? this.#early[0].prev : this.#ahead;
    const before = this.#seen;
    const again = () => {
      if (this.#seen !== before) return this.#drain();
      if (tries < LATE_TRIES) {
        this.#timer = this.#wire.clock.set(() => this.#fetch(tries + 1), LATE_MS * 2 ** tries);
        return;
      }
      this.#missing(before + 1, goal, this.#early[0]?.seq ?? goal + 1);
      this.#seen = goal;
      this.#drain();
    };
    const ask = { type: "history", room: this.name, after: before, limit: PAGE_MAX };
    this.#wire.ask(ask, (ok) => {
      if (this.state !== "joined") return;
      if (ok.epoch === this.#epoch && Array.isArray(ok.messages)) {
        for (const found of ok.messages) {
          const m = said(found ?? {}, this.name);
          if (m.seq === undefined || m.seq <= this.#seen) continue;
          if (m.prev > this.#seen) this.#missing(this.#seen + 1, m.prev, m.seq);
          this.#next(m);
        }
      }
      again();
    }, (error) => { if (error.code !== "lost" && this.state === "joined") again(); });
  }

  #drain() {
    while (this.#early.length && (this.#seen === null || this.#early[0].prev <= this.#seen)) this.#next(this.#early.shift());
    if (this.#early.length || this.#ahead > this.#seen) return this.#fetch();
    this.#fetching = false;
    this.#ahead = 0;
  }

  #missing(from, to, oldest) { this.#lack({ type: "gap", room: this.name, epoch: this.#epoch, from, to, oldest, reset: false }); }

  #lack(gap) {
    for (const feed of this.#feeds) feed.push(gap);
    this.#tell("gap", gap);
  }

  #gap({ epoch, from, to, oldest, reset }) {
    if (!isCount(to)) return;
    if (reset === true) {
      this.#epoch = epoch ?? null;
      this.#seen = null;
      this.#early = [];
      this.#ahead = 0;
    } else {
      this.#seen = Math.max(this.#seen ?? 0, to);
    }
    this.#lack({ type: "gap", room: this.name, epoch: this.#epoch, from: isCount(from) ? from : 0, to,
      oldest: isCount(oldest) ? oldest : to + 1, reset: reset === true });
  }

  #present({ count, joined, left, members, complete }) {
    if (Array.isArray(members)) this.people = new Map(people(members).map((p) => [p.user, p.name]));
    for (const p of people(left)) this.people.delete(p.user);
    for (const p of people(joined)) this.people.set(p.user, p.name);
    if (isCount(count)) this.count = count;
    if (typeof complete === "boolean") this.complete = complete;
    this.#tell("presence", { count: this.count, joined: people(joined), left: people(left), complete: this.complete });
  }

  #endFeeds(error) {
    for (const feed of [...this.#feeds]) feed.end(error);
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}

// Feed is one iteration over a room: messages and gaps, told apart by their type.
class Feed {
  #gone;
  #unread = [];
  #asking = []; // those who wait for the next
  #over = false;
  #error;

  constructor(gone) { this.#gone = gone; }

  push(value) {
    if (this.#over) return;
    if (this.#asking.length) this.#asking.shift().resolve({ value, done: false });
    else if (this.#unread.push(value) > UNREAD_MAX) this.end(new ThrongError("unread", "the iteration is too far behind the room"));
  }

  end(error) {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#gone();
    for (const { resolve, reject } of this.#asking.splice(0)) error ? reject(error) : resolve({ value: undefined, done: true });
  }

  next() {
    if (this.#unread.length) return Promise.resolve({ value: this.#unread.shift(), done: false });
    if (!this.#over) return new Promise((resolve, reject) => this.#asking.push({ resolve, reject }));
    const error = this.#error;
    this.#error = undefined;
    return error ? Promise.reject(error) : Promise.resolve({ value: undefined, done: true });
  }

  return() {
    this.#unread = [];
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() { return this; }
}

function errorOf({ code, message, hint, retry, room }) {
  return new ThrongError(word(code) || "internal", word(message) || undefined,
    { hint: word(hint), retry: Number.isFinite(retry) ? retry : undefined, room: typeof room === "string" ? room : undefined });
}

// Throng is somebody's connection to a server: who one is, the rooms one is in, and what one has said and
// the server has not answered yet.
export class Throng extends EventTarget {
  #url;
  #options;
  #clock;
  #line;
  #now = { state: "closed" };
  #welcomed = false;
  #rooms = new Map();
  #inbox = null;
  #asked = new Map(); // id -> what to do with the answer
  #id = 0;
  #outbox = []; // publishes without an answer, in the order they were made
  #held = null; // until this timer none of them goes out
  #tries = 0; // times in a row that they were held
  #bye = null;
  #timer; // for the welcome, then for the Close after a bye
  #beat; // the heartbeat's timer
  #beatMs = BEAT_MS;
  #heard = 0;
  #pinged = null; // when, if nothing was heard since
  #wire;
  #session;
  #wish; // the name one would like

  user = null;
  name = null;
  guest = null;
  node = null;
  server = null;
  limits = {};
  expires = null; // when the token does, a Date.now()

  constructor(url = globalThis.location?.origin, options = {}) {
    super();
    this.#url = new URL(url);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#wish = options.name;
    this.#session = options.session;
    this.#line = new RawClient(() => this.#address(), { ...options, verdict: (code) => this.#verdict(code) });
    this.#line.addEventListener("state", (e) => this.#changed(e.detail));
    this.#line.addEventListener("message", (e) => this.#frame(e.data));
    this.#wire = {
      clock: this.#clock,
      ask: (body, done, failed) => this.#ask(body, done, failed),
      promise: (body) => this.#promise(body),
      publish: (room, what, how) => this.publish(room, what, how),
      signal: (room, what) => this.signal(room, what),
      leave: (room) => this.#leave(room),
      pause: (error, tries) => pause(error, tries, options.random),
    };
  }

  get state() { return this.#now.state; }
  get why() { return this.#now.why; }
  get failures() { return this.#line.failures; }
  get rooms() { return [...this.#rooms.values()]; }
  get pending() { return this.#outbox.length; } // publishes without an answer

  connect() { this.#line.connect(); }
  wake() { this.#line.wake(); }

  close() {
    this.#line.close();
    const error = new ThrongError("closed", "the client was closed");
    for (const item of this.#outbox.splice(0)) item.reject(error);
    for (const room of [...this.#rooms.values(), this.#inbox]) room?.[part](error);
    this.#rooms.clear();
    this.#inbox = null;
  }

  // join is the room, at once: it is joined when there is a connection, and again with each new one. Asked
  // for twice, it is the same. last is how much of the past to begin with.
  join(name, { last = 0 } = {}) {
    if (this.#inbox && name === this.#inbox.name) return this.#inbox;
    let room = this.#rooms.get(name);
    if (room) return room;
    room = new Room(name, this.#wire, last);
    this.#rooms.set(name, room);
    if (this.#welcomed) room[enter]();
    return room;
  }

  // inbox is the room of direct messages to oneself; who one is only the server's welcome tells.
  inbox({ last = 0 } = {}) {
    if (!this.#inbox) {
      this.#inbox = new Room(this.user === null ? "" : "@" + this.user, this.#wire, last);
      if (this.#welcomed) this.#inbox[enter]();
    }
    return this.#inbox;
  }

  // publish needs no membership: to @user it is a direct message. The promise is kept through any number
  // of connections, and fails only by an answer that will not change.
  publish(room, what, { key = newKey() } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#outbox.length >= OUTBOX_MAX) throw new ThrongError("outbox_full", "too many messages wait to be sent");
      this.#outbox.push({ body: { room, key, ...contentOf(what) }, flying: false, resolve, reject });
      this.#flush();
    });
  }

  // signal is for typing and the like: never kept, and not sent again.
  async signal(room, what) {
    await this.#promise({ type: "signal", room, ...contentOf(what) });
  }

  async ping() {
    return (await this.#promise({ type: "ping" })).time;
  }

  // rename is for guests. The name is wished for on later connections too.
  async rename(name) {
    this.#wish = name;
    if (this.#welcomed) this.#known(await this.#promise({ type: "auth", name }));
    return this.name;
  }

  async authenticate(token) {
    this.#known(await this.#promise({ type: "auth", token }));
    return this.user;
  }

  // The connection.

  #address() {
    const { token } = this.#options;
    if (typeof token !== "function") return this.#request(token);
    return Promise.resolve().then(token).then((t) => this.#request(t));
  }

  #request(token) {
    const url = new URL(this.#url);
    if (this.#wish) url.searchParams.set("name", this.#wish);
    const session = token ? null : this.#session ?? this.#stored();
    if (session) url.searchParams.set("session", session);
    return { url: url.href, protocols: token ? [PROTOCOL, "throng.token." + token] : [PROTOCOL] };
  }

  #stored() {
    try { return this.#options.storage?.getItem("throng.session " + this.#url.host); } catch { return null; }
  }

  #changed(now) {
    if (now.state === "online") { // the socket is; the client is with the welcome
      this.#timer = this.#clock.set(() => this.#line.end(), HANDSHAKE_MS);
      return;
    }
    this.#lost();
    this.#tell(now);
  }

  #lost() {
    this.#welcomed = false;
    this.#bye = null;
    for (const timer of [this.#timer, this.#beat, this.#held]) this.#clock.clear(timer);
    this.#held = null;
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    const error = new ThrongError("lost", "the connection was lost before the answer");
    for (const { failed } of asked) failed(error);
    for (const room of this.#rooms.values()) room[lose]();
    this.#inbox?.[lose]();
  }

  // verdict is what a bye says of the Close that comes with it.
  #verdict(code) {
    // The longest of what was on its way is what was too long; sent again it would end the next connection.
    if (code === 1009) this.#settle(longest(this.#outbox), new ThrongError("too_big", "longer than the server takes"));
    // Who has another token to show shows it, a few times.
    if (code === 4401 && typeof this.#options.token === "function" && this.failures < LATE_TRIES) return {};
    const bye = this.#bye;
    if (!bye) return undefined;
    const reason = word(bye.reason);
    if (bye.code === 4408 || code === 4408) return { away: "idle", reason };
    if (bye.again === false) return { away: "refused", reason };
    const why = { 1001: "restart", 4429: "fast" }[code] ?? "lost";
    if (isCount(bye.in)) return { ms: Math.min(bye.in, TURN_MAX_MS), why, reason };
    return { ...verdict(code, reason), reason };
  }

  #frame(text) {
    this.#heard = this.#clock.now();
    this.#pinged = null;
    let frame;
    try { frame = JSON.parse(text); } catch { return; }
    if (frame === null || typeof frame !== "object") return;
    const { type, id } = frame;
    if (type === "welcome") this.#welcome(frame);
    else if ((type === "ok" || type === "error") && this.#asked.has(id)) this.#answered(id, frame);
    else if (type === "bye") this.#farewell(frame);
    else if (type === "error" && id === undefined) this.#complaint(frame);
    else if (typeof frame.room === "string" && id === undefined) this.#roomOf(frame.room)?.[hear](frame);
  }

  #roomOf(name) { return this.#inbox?.name === name ? this.#inbox : this.#rooms.get(name); }

  #welcome(frame) {
    if (this.#welcomed) return;
    this.#clock.clear(this.#timer);
    this.#welcomed = true;
    this.guest = frame.guest === true;
    this.node = word(frame.node);
    this.server = word(frame.server);
    this.limits = frame.limits !== null && typeof frame.limits === "object" ? frame.limits : {};
    this.user = word(frame.user);
    if (typeof frame.session === "string") {
      this.#session = frame.session;
      try { this.#options.storage?.setItem("throng.session " + this.#url.host, frame.session); } catch { /* it is kept here */ }
    }
    this.expires = null;
    this.#inbox?.[rename]("@" + this.user);
    this.#known(frame);
    this.#beatMs = isCount(frame.heartbeat) ? Math.min(Math.max(frame.heartbeat, BEAT_MIN_MS), TURN_MAX_MS) : BEAT_MS;
    this.#listenFor(this.#beatMs);
    this.#inbox?.[enter]();
    for (const room of this.#rooms.values()) room[enter]();
    this.#flush();
    this.#tell({ state: "online" });
  }

  // known is who one is by a welcome or the answer to auth. Another user has another inbox.
  #known({ user, name, expires }) {
    if (typeof name === "string") this.name = name;
    if (Number.isFinite(expires)) this.expires = expires;
    if (typeof user !== "string" || user === this.user) return;
    this.user = user;
    if (!this.#inbox) return;
    if (this.#welcomed) this.#ask({ type: "leave", room: this.#inbox.name });
    this.#inbox[lose]();
    this.#inbox[rename]("@" + user);
    if (this.#welcomed) this.#inbox[enter]();
  }

  #farewell(bye) {
    this.#bye = bye;
    this.#clock.clear(this.#timer);
    this.#timer = this.#clock.set(() => this.#line.end(isCount(bye.code) ? bye.code : 1006, word(bye.reason)), BYE_MS);
    this.dispatchEvent(new CustomEvent("bye", { detail: bye }));
  }

  async #complaint(frame) {
    const { token } = this.#options;
    if (frame.code === "token_expiring" && typeof token === "function") {
      try {
        await this.authenticate(await token());
        return;
      } catch (cause) {
        if (cause instanceof ThrongError) return this.#complain(cause);
      }
    }
    const error = errorOf(frame);
    if (error.room !== undefined) this.#roomOf(error.room)?.[hear](frame);
    this.#complain(error);
  }

  #complain(error) { this.dispatchEvent(new CustomEvent("error", { detail: error })); }

  // listenFor looks again after ms. A message only stores when it came; the timer finds out by itself. A
  // timer that is late, as those of hidden pages are, still asks before it gives up.
  #listenFor(ms) {
    this.#clock.clear(this.#beat);
    this.#beat = this.#clock.set(() => {
      const now = this.#clock.now();
      const silent = now - (this.#pinged ?? this.#heard);
      if (silent < this.#beatMs) return this.#listenFor(this.#beatMs - silent);
      if (this.#pinged !== null) return this.#line.end();
      this.#pinged = now;
      this.#ask({ type: "ping" });
      this.#listenFor(this.#beatMs);
    }, ms);
  }

  // What is asked and said.

  #ask(body, done = () => {}, failed = () => {}) {
    const id = ++this.#id;
    const text = JSON.stringify({ ...body, id });
    const { message } = this.limits;
    if (isCount(message) && text.length * 3 > message && new TextEncoder().encode(text).length > message) {
      return failed(new ThrongError("too_big", `longer than the ${message} bytes that the server takes`));
    }
    this.#asked.set(id, { done, failed });
    if (this.#welcomed && this.#line.send(text)) return;
    this.#asked.delete(id);
    failed(new ThrongError(this.state === "closed" ? "closed" : "offline", "there is no connection"));
  }

  #promise(body) {
    return new Promise((resolve, reject) => this.#ask(body, resolve, reject));
  }

  #answered(id, frame) {
    const { done, failed } = this.#asked.get(id);
    this.#asked.delete(id);
    if (frame.type === "ok") done(frame);
    else failed(errorOf(frame));
  }

  #flush() {
    if (!this.#welcomed || this.#held !== null) return;
    let flying = this.#outbox.filter((item) => item.flying).length;
    for (const item of [...this.#outbox]) {
      if (item.flying) continue;
      if (flying++ >= FLYING_MAX || this.#held !== null) return;
      item.flying = true;
      this.#ask({ type: "publish", ...item.body }, (ok) => this.#taken(item, ok), (error) => this.#failed(item, error));
    }
  }

  #taken(item, ok) {
    this.#tries = 0;
    this.#settle(item, null, { seq: isCount(ok.seq) ? ok.seq : undefined, stored: ok.stored === true, duplicate: ok.duplicate === true });
    this.#flush();
  }

  #failed(item, error) {
    if (["lost", "offline"].includes(error.code)) {
      item.flying = false;
      return;
    }
    if (!AGAIN.includes(error.code)) {
      this.#settle(item, error);
      this.#flush();
      return;
    }
    item.flying = false;
    if (this.#held !== null) return;
    this.#held = this.#clock.set(() => {
      this.#held = null;
      this.#flush();
    }, pause(error, this.#tries++, this.#options.random));
  }

  #settle(item, error, answer) {
    const at = this.#outbox.indexOf(item);
    if (at < 0) return;
    this.#outbox.splice(at, 1);
    if (error) item.reject(error);
    else item.resolve(answer);
  }

  #leave(room) {
    if (room === this.#inbox) this.#inbox = null;
    else if (this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
    else return;
    const joined = room.state !== "refused";
    room[part]();
    if (this.#welcomed && joined) this.#ask({ type: "leave", room: room.name });
  }

  #tell(now) {
    this.#now = now;
    this.dispatchEvent(new CustomEvent("state", { detail: now }));
  }
}

// pause is the wait before what an error put off is tried again: what the server asked for, or a backoff.
function pause({ retry }, tries, random) {
  return (retry >= 0 ? Math.min(retry, TURN_MAX_MS) : 0) + backoff(retry >= 0 ? 0 : tries, random) * (retry >= 0 ? 0.1 : 1);
}

function longest(outbox) {
  return outbox.filter((item) => item.flying)
    .reduce((a, b) => (a && JSON.stringify(a.body).length >= JSON.stringify(b.body).length ? a : b), null);
}
