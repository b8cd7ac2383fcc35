// What the page knows: conversations, what was said in them, what was read. Nothing here touches the page;
// what changes is told as events: list, added, moved, changed, removed, cleared, people and typing.
//
// A talk is a room's or one with a person. Direct messages from everybody come through one room, the inbox;
// what one sent oneself is in other people's, so it is kept here.

import { newKey } from "./throng.js";

const SHOWN_MAX = 1000; // entries of a talk, beyond which the oldest go; they can be asked for again
const CHARS_MAX = 1 << 20; // in them: a message may be 64 KiB
const LAST = 50; // of a room's past to begin with
const INBOX_LAST = 200;
const PAGE = 50; // of the past at a time
const INBOX_PAGES = 5; // looked through at once for messages of one person
const SENT_MAX = 300; // own direct messages that are kept
const TYPING_MS = 6000; // who is typing says so more often
const NAME_BYTES_MAX = 64;

// wrongWith says why a name cannot be a room's, as the server would.
export function wrongWith(name) {
  if (name.startsWith("@")) return "Names that begin with @ are reserved.";
  if (!/^[\p{L}\p{N}\p{M}_~:.-]+$/u.test(name)) return "A name is made of letters, digits and _ ~ : . -";
  if (name === "." || name === "..") return "Dots alone are no name.";
  return new TextEncoder().encode(name).length > NAME_BYTES_MAX ? "That name is too long." : "";
}

// Talk is one conversation. id is #room or @user.
class Talk {
  entries = []; // in order; those that are not sent yet come last
  chars = 0;
  more = false; // whether there is an older past to ask for
  loading = false;
  coming = 0; // messages that a join has promised
  unread = 0;
  typing = new Map(); // user -> {name, until}
  draft = "";
  notice = ""; // why there is nothing here

  constructor(kind, name, title) {
    this.kind = kind; // room or direct
    this.name = name;
    this.title = title;
    this.id = (kind === "room" ? "#" : "@") + name;
  }

  get address() { return this.kind === "room" ? this.name : "@" + this.name; }
  get recorded() { return this.room?.recorded ?? null; }
  get waiting() { return this.entries.filter((e) => e.fate).length; }
  get lastTime() { return this.entries.findLast((e) => e.kind === "message")?.time ?? 0; }
}

export class Talks extends EventTarget {
  all = new Map(); // id -> talk, rooms in the order they were entered
  current = null;
  #client;
  #store;
  #inbox;
  #inboxOldest = null;
  #inboxMore = true;
  #read; // id -> the time of the newest that was read
  #sent; // own direct messages
  #restored = false;

  constructor(client, store) {
    super();
    this.#client = client;
    this.#store = store;
    this.#read = store.get("read") ?? {};
    this.#sent = [store.get("sent") ?? []].flat();
    for (const name of [store.get("rooms") ?? []].flat().map(String)) if (!wrongWith(name)) this.room(name);
    this.#inbox = client.inbox({ last: INBOX_LAST });
    this.#inbox.addEventListener("message", (e) => this.#direct(e.detail));
    this.#inbox.addEventListener("signal", (e) => this.#signal(this.all.get("@" + e.detail.user), e.detail));
    this.#inbox.addEventListener("joined", () => this.#restore());
  }

  get me() { return this.#client.user; }
  get rooms() { return [...this.all.values()].filter((t) => t.kind === "room"); }
  get directs() {
    return [...this.all.values()].filter((t) => t.kind === "direct").sort((a, b) => (b.lastTime || b.since) - (a.lastTime || a.since));
  }

  // room is the talk of a room, entered if it was not.
  room(name) {
    let talk = this.all.get("#" + name);
    if (talk) return talk;
    talk = new Talk("room", name, name);
    this.all.set(talk.id, talk);
    this.#join(talk);
    this.#keepRooms();
    return talk;
  }

  direct(user, title = user) {
    let talk = this.all.get("@" + user);
    if (!talk) {
      talk = new Talk("direct", user, title);
      talk.since = Date.now();
      talk.more = true;
      this.all.set(talk.id, talk);
      this.#tell("list");
    } else if (title !== user && title !== talk.title) {
      talk.title = title;
      this.#tell("list");
    }
    return talk;
  }

  leave(talk) {
    talk.room?.leave();
    this.all.delete(talk.id);
    this.#keepRooms();
  }

  // enter makes a talk the one that is shown.
  enter(talk) {
    for (const e of this.current?.entries ?? []) e.fresh = false;
    this.current = talk;
    const first = talk.unread ? talk.entries.filter((e) => e.kind === "message" && !e.mine).at(-talk.unread) : null;
    if (first) first.fresh = true;
    this.#tell("list");
  }

  read(talk) {
    const time = talk.lastTime;
    if (!talk.unread && (this.#read[talk.id] ?? 0) >= time) return;
    talk.unread = 0;
    this.#read[talk.id] = time;
    this.#store.set("read", this.#read);
    this.#tell("list");
  }

  // What one says.

  say(talk, text) {
    const entry = { kind: "message", key: newKey(), user: this.me, name: this.#client.name, text, time: Date.now(), mine: true, fate: "sending" };
    this.#add(talk, entry);
    this.#publish(talk, entry);
  }

  again(talk, entry) {
    entry.fate = "sending";
    entry.error = null;
    this.#tell("changed", { talk, entry });
    this.#publish(talk, entry);
  }

  drop(talk, entry) { this.#remove(talk, entry); }

  async #publish(talk, entry) {
    try {
      await this.#client.publish(talk.address, entry.text, { key: entry.key });
    } catch (error) {
      if (error.code === "closed") return;
      entry.fate = "failed";
      entry.error = error;
      this.#tell("changed", { talk, entry });
      return;
    }
    if (!entry.fate) return; // its return was first
    if (talk.kind === "room") {
      entry.fate = "sent"; // what comes back from the room shows where in its order it is
      this.#tell("changed", { talk, entry });
      return;
    }
    entry.time = Date.now();
    this.#remove(talk, entry);
    entry.fate = null;
    this.#add(talk, entry);
    this.#sent.push({ me: this.me, to: talk.name, title: talk.title, key: entry.key, text: entry.text, time: entry.time });
    this.#sent = this.#sent.slice(-SENT_MAX);
    this.#store.set("sent", this.#sent);
  }

  typingIn(talk) {
    if (this.#client.state === "online" && talk.quiet !== true) {
      this.#client.signal(talk.address, { json: { typing: true } }).catch((e) => { talk.quiet = e.code === "denied"; });
    }
  }

  // typists are the names of those who are typing now.
  typists(talk) {
    const now = Date.now();
    for (const [user, { until }] of talk.typing) if (until <= now) talk.typing.delete(user);
    return [...talk.typing.values()].map((t) => t.name);
  }

  // What is said.

  #join(talk) {
    const room = talk.room = this.#client.join(talk.name, { last: LAST });
    let again = false;
    room.addEventListener("message", (e) => this.#heard(talk, e.detail));
    room.addEventListener("signal", (e) => this.#signal(talk, e.detail));
    room.addEventListener("gap", (e) => this.#gap(talk, e.detail));
    room.addEventListener("presence", () => this.#tell("people", { talk }));
    room.addEventListener("joined", (e) => {
      talk.coming = e.detail.replay;
      if (!again) talk.more = room.recorded && talk.coming > 0;
      else if (!room.recorded) this.#add(talk, { kind: "notice", text: "You were away for a moment. What was said meanwhile is not kept here." });
      again = true;
      talk.notice = "";
      this.#read[talk.id] ??= Date.now();
      room.members().catch(() => {});
      this.#tell("changed", { talk });
    });
    room.addEventListener("refused", (e) => {
      talk.notice = [e.detail.message, e.detail.hint].filter(Boolean).join(". ");
      this.#tell("changed", { talk });
    });
  }

  #heard(talk, m) {
    talk.coming--;
    talk.typing.delete(m.user);
    this.#tell("typing", { talk });
    const own = m.user === this.me && m.key !== undefined && talk.entries.find((e) => e.fate && e.key === m.key);
    if (own) return this.#came(talk, own, m);
    this.#add(talk, this.#entry(m));
  }

  // came is the return of what one said: now it has a place.
  #came(talk, entry, m) {
    talk.entries.splice(talk.entries.indexOf(entry), 1);
    Object.assign(entry, { fate: null, error: null, seq: m.seq, time: m.time ?? entry.time, name: m.name });
    const at = this.#place(talk, entry);
    talk.entries.splice(at, 0, entry);
    this.#tell("moved", { talk, entry, next: talk.entries[at + 1] });
    if (talk === this.current) this.#read[talk.id] = entry.time;
  }

  #entry(m) {
    const text = m.text ?? (m.data ? `[binary, ${m.data.length} bytes]` : JSON.stringify(m.json, null, 1));
    return { kind: "message", code: m.text === undefined, text, seq: m.seq, time: m.time ?? Date.now(), user: m.user,
      name: m.name || m.user || "somebody", key: m.key, mine: m.user !== "" && m.user === this.me };
  }

  #direct(m) {
    if (m.seq !== undefined) this.#inboxOldest = Math.min(this.#inboxOldest ?? m.seq, m.seq);
    this.#heard(this.direct(m.user, m.name), m);
    this.#tell("list");
  }

  #signal(talk, s) {
    if (!talk || s.json?.typing !== true || s.user === this.me) return;
    talk.typing.set(s.user, { name: s.name || s.user, until: Date.now() + TYPING_MS });
    this.#tell("typing", { talk });
    setTimeout(() => this.#tell("typing", { talk }), TYPING_MS + 50);
  }

  #gap(talk, { from, to, oldest, reset }) {
    this.#add(talk, { kind: "notice", text: reset ? "The room's past was lost here. What comes now is new."
      : "Some messages are missing here: they are not kept any more.", gap: { from, to, oldest } });
    if (reset) talk.more = false;
  }

  // The inbox has half of what was said; the other half was kept when it was sent.
  #restore() {
    if (this.#restored) return;
    this.#restored = true;
    this.#inboxMore = this.#inbox.recorded === true;
    for (const s of this.#sent) {
      if (s.me !== this.me) continue;
      const talk = this.direct(s.to, s.title);
      if (talk.entries.some((e) => e.key === s.key)) continue;
      this.#add(talk, { kind: "message", key: s.key, text: s.text, time: s.time, user: this.me, name: this.#client.name, mine: true }, true);
    }
  }

  // older asks for what was said before, and says whether anything came.
  async older(talk) {
    if (!talk.more || talk.loading || this.#client.state !== "online") return false;
    talk.loading = true;
    this.#tell("changed", { talk });
    try {
      return await (talk.kind === "room" ? this.#olderInRoom(talk) : this.#olderInInbox(talk));
    } catch (error) {
      if (!["lost", "offline", "rate", "unavailable"].includes(error.code)) talk.more = false;
      return false;
    } finally {
      talk.loading = false;
      this.#tell("changed", { talk });
    }
  }

  async #olderInRoom(talk) {
    const first = talk.entries.find((e) => e.seq !== undefined)?.seq;
    const { messages, more } = await talk.room.history({ before: first, limit: PAGE });
    talk.more = more && messages.length > 0;
    return this.#past(talk, messages);
  }

  async #olderInInbox(talk) {
    let found = false;
    for (let n = 0; n < INBOX_PAGES && this.#inboxMore && !found; n++) {
      const { messages, more } = await this.#inbox.history({ before: this.#inboxOldest ?? undefined, limit: PAGE });
      this.#inboxMore = more && messages.length > 0;
      this.#inboxOldest = messages[0]?.seq ?? this.#inboxOldest;
      for (const m of messages) found = this.#past(this.direct(m.user, m.name), [m]) && "@" + m.user === talk.id || found;
    }
    talk.more = this.#inboxMore;
    return found;
  }

  #past(talk, messages) {
    const known = new Set(talk.entries.map((e) => e.seq).filter((seq) => seq !== undefined));
    const found = messages.filter((m) => !known.has(m.seq));
    for (const m of found) this.#add(talk, this.#entry(m), true);
    return found.length > 0;
  }

  #add(talk, entry, old = false) {
    const at = this.#place(talk, entry, old);
    talk.entries.splice(at, 0, entry);
    talk.chars += entry.text.length;
    if (!old && entry.kind === "message" && !entry.mine && entry.time > (this.#read[talk.id] ?? 0)) {
      talk.unread++;
      this.#tell("list");
    }
    this.#tell("added", { talk, entry, next: talk.entries[at + 1], old });
    if (talk !== this.current) this.trim(talk);
  }

  // place is where an entry belongs: by seq in a room, by time among direct messages, before what is not sent yet.
  #place(talk, entry, old = false) {
    let at = talk.entries.length;
    if (entry.fate) return at;
    const later = (e) => (talk.kind === "direct" ? e.time > entry.time
      : old && (e.seq === undefined ? e.kind === "notice" : e.seq > entry.seq));
    while (at > 0 && (talk.entries[at - 1].fate || later(talk.entries[at - 1]))) at--;
    return at;
  }

  #remove(talk, entry) {
    const at = talk.entries.indexOf(entry);
    if (at < 0) return;
    talk.entries.splice(at, 1);
    talk.chars -= entry.text.length;
    this.#tell("removed", { talk, entry });
  }

  // trim forgets the oldest of what is too much. A room's can be asked for again.
  trim(talk) {
    while (talk.entries.length > SHOWN_MAX || (talk.chars > CHARS_MAX && talk.entries.length > 1)) {
      this.#remove(talk, talk.entries[0]);
      talk.more = talk.more || talk.recorded === true;
    }
  }

  #keepRooms() {
    this.#store.set("rooms", this.rooms.map((t) => t.name));
    this.#tell("list");
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
