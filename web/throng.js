// The connection of a throng client. It opens a WebSocket, says what it is doing, and comes back.
//
//   const c = new Client("wss://host/rooms/lobby");
//   c.addEventListener("message", (e) => show(e.data)); // string or ArrayBuffer
//   c.addEventListener("state", (e) => tell(e.detail)); // {state, why, until, code, reason}
//   c.connect();
//   c.send("hello"); // false: not online, nothing sent
//
// It is connecting, online, closed (by close(), or not begun), or
//   waiting  to connect at `until`, a Date.now(); why:
//     lost     the connection or the handshake failed
//     network  the same, and there is no network; when there is one it connects at once
//     restart  the server restarts and gave out turns: kept to, and no failure
//     fast     too much was said too quickly
//   away     until wake(); why: idle (silent for too long) or refused

const BASE_MS = 1000; // the first wait is up to this
const CAP_MS = 30000; // and none is longer
const FAST_MS = 2000; // more for who was too fast
const STABLE_MS = 5000; // a connection that stood this long ends the row of failures
const HANDSHAKE_MS = 15000; // browsers wait for minutes
const TURN_MAX_MS = 600000; // a restart's turn is believed up to here

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

export class Client extends EventTarget {
  #url;
  #protocols;
  #socket; // the current one; what an older one still says is not heard
  #timer;
  #since; // when the socket opened
  #cut; // the network went away while online
  #now = { state: "closed" };
  #listening = new AbortController();
  failures = 0; // in a row

  constructor(url, protocols = []) {
    super();
    this.#url = url;
    this.#protocols = protocols;
    const { signal } = this.#listening;
    globalThis.addEventListener?.("offline", () => { this.#cut = this.state === "online"; }, { signal });
    globalThis.addEventListener?.("online", () => this.#network(), { signal });
  }

  get state() { return this.#now.state; }
  get why() { return this.#now.why; }

  connect() {
    this.#drop();
    const socket = this.#socket = new WebSocket(this.#url, this.#protocols);
    const current = (f) => (e) => { if (socket === this.#socket) f(e); };
    socket.binaryType = "arraybuffer";
    socket.onopen = current(() => this.#opened());
    socket.onmessage = current((e) => this.dispatchEvent(new MessageEvent("message", { data: e.data })));
    socket.onclose = current((e) => this.#ended(e.code, e.reason));
    this.#timer = setTimeout(() => this.#ended(1006, ""), HANDSHAKE_MS);
    this.#tell({ state: "connecting" });
  }

  // send says whether the connection took it. Whether it arrived, only its return shows.
  send(data) {
    if (this.state !== "online" || this.#socket.readyState !== 1) return false;
    this.#socket.send(data);
    return true;
  }

  // wake is the user's wish to be online. A wait that the server asked for goes on.
  wake() {
    const { state, why } = this.#now;
    if (state === "away" || (state === "waiting" && (why === "lost" || why === "network"))) this.connect();
  }

  close() {
    this.#listening.abort();
    this.#drop();
    this.#tell({ state: "closed" });
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#since = performance.now();
    this.#tell({ state: "online" });
  }

  #ended(code, reason) {
    if (this.state === "online" && performance.now() - this.#since >= STABLE_MS) this.failures = 0;
    this.#drop();
    const ms = turn(code, reason);
    const away = { 4408: "idle", 4401: "refused", 4403: "refused" }[code];
    if (away) this.#tell({ state: "away", why: away, code, reason });
    else if (ms >= 0) this.#wait(ms, "restart", code, reason);
    else if (code === 4429) this.#wait(FAST_MS + backoff(this.failures++), "fast", code, reason);
    else this.#wait(backoff(this.failures++), navigator.onLine === false ? "network" : "lost", code, reason);
  }

  #wait(ms, why, code, reason) {
    this.#timer = setTimeout(() => this.connect(), ms);
    this.#tell({ state: "waiting", why, until: Date.now() + ms, code, reason });
  }

  // A connection older than the network is most likely dead, and would show it only after minutes.
  #network() {
    if (this.#cut && this.state === "online") this.connect();
    else if (this.state === "waiting") this.wake();
    this.#cut = false;
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
  }

  #tell(now) {
    this.#now = now;
    this.dispatchEvent(new CustomEvent("state", { detail: now }));
  }
}
