// A server of throng.v1 that does only what a test tells it to, with the sockets and the clock of a world
// of its own: nothing here waits, and nothing happens by itself.

import { Throng } from "../throng.js";

// Clock is time that passes when it is told to.
export class Clock {
  #now = 1000;
  #timers = new Map();
  #id = 0;

  now() { return this.#now; }
  set(f, ms) {
    this.#timers.set(++this.#id, { at: this.#now + ms, f });
    return this.#id;
  }
  clear(id) { this.#timers.delete(id); }
  get size() { return this.#timers.size; }

  pass(ms) {
    const end = this.#now + ms;
    for (;;) {
      const [id, next] = [...this.#timers].sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0] ?? [];
      if (!next || next.at > end) break;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, next.at);
      next.f();
    }
    this.#now = end;
  }

  // stall is a machine that was asleep: timers are late.
  stall(ms) { this.#now += ms; }
}

// World is where a client lives: what it connects to is in sockets, the newest last.
export class World {
  clock = new Clock();
  sockets = [];
  random = 0.5;

  constructor() {
    const world = this;
    this.WebSocket = class {
      readyState = 0;
      sent = [];
      constructor(url, protocols) {
        this.url = new URL(url);
        this.protocols = protocols;
        world.sockets.push(this);
      }
      send(text) { this.sent.push(JSON.parse(text)); }
      close() { this.readyState = 3; }

      // What the server does.
      open() {
        this.readyState = 1;
        this.onopen({});
      }
      raw(text) { this.onmessage({ data: text }); }
      say(frame) { this.raw(JSON.stringify(frame)); }
      shut(code = 1006, reason = "") {
        this.readyState = 3;
        this.onclose({ code, reason });
      }
      welcome(more = {}) {
        this.open();
        this.say({ type: "welcome", protocol: "throng.v1", user: "~me", name: "Me", guest: true, session: "secret",
          node: "n", server: "throng test", heartbeat: 20000, limits: { message: 65536, rooms: 100, rate: 0 }, ...more });
      }
      // next is the oldest request that was not looked at yet; it must be of this type.
      next(type) {
        const frame = this.sent.shift();
        if (frame?.type !== type) throw new Error(`the client sent ${JSON.stringify(frame)}, not ${type}`);
        return frame;
      }
      ok(request, more = {}) { this.say({ type: "ok", id: request.id, ...more }); }
      error(request, code, more = {}) { this.say({ type: "error", id: request.id, code, message: code, hint: "wait", ...more }); }
      entered(more = {}, type = "join") {
        const join = this.next(type);
        this.ok(join, { room: join.room, epoch: "e1", seq: 0, recorded: true, name: "Me", count: 1, ...more });
        return join;
      }
      // message is what somebody said in the room tea.
      message(seq, prev, more = {}) {
        this.say({ type: "message", room: "tea", seq, prev, v: 1, time: seq, user: "ann", name: "Ann", text: `m${seq}`, ...more });
      }
    };
  }

  get socket() { return this.sockets.at(-1); }

  client(options = {}) {
    const client = new Throng("https://chat.example", {
      WebSocket: this.WebSocket, clock: this.clock, random: () => this.random, ...options });
    client.told = [];
    client.addEventListener("state", ({ detail: { state, why } }) => client.told.push(why ? `${state} ${why}` : state));
    return client;
  }

  // online is a client that was welcomed.
  online(options) {
    const client = this.client(options);
    client.connect();
    this.socket.welcome();
    return client;
  }

  // tea is a client in a recorded room whose head is seq, and all that it hears there, in words.
  tea(seq = 0, options) {
    const client = this.online();
    const room = client.join("tea", options);
    const heard = listen(room);
    this.socket.entered({ seq });
    return { client, room, heard };
  }
}

// listen writes down what happens in a room: m3 is a message, gap 4-6 what is missing.
export function listen(room) {
  const heard = [];
  room.addEventListener("message", ({ detail: m }) => heard.push(m.text ?? JSON.stringify(m.json ?? [...m.data])));
  room.addEventListener("gap", ({ detail: g }) => heard.push(`${g.reset ? "reset" : "gap"} ${g.from}-${g.to}`));
  room.addEventListener("signal", ({ detail: s }) => heard.push(`signal ${s.text ?? JSON.stringify(s.json)}`));
  return heard;
}

// turn lets promises settle.
export const turn = () => new Promise((resolve) => setImmediate(resolve));

// outcome is what becomes of a promise, in words that can be compared.
export function outcome(promise) {
  const result = { now: "pending" };
  promise.then((v) => { result.now = v; }, (e) => { result.now = e.code ?? e.message; });
  return result;
}
