// The lines of the talk that is shown. What others say gets into the page through textContent only.

import { face, hueOf } from "./face.js";

const FRAME_MS = 16; // what comes within one is scrolled to together
const NEAR_PX = 48; // this close to the end counts as reading along
const TOP_PX = 240; // this close to the top asks for more
const GROUP_MS = 5 * 60000; // lines of one person within it stand under one name

const DAY_MS = 86400000;
const LINK = /\bhttps?:\/\/[^\s<>"'`]+/gi;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// dayOf is a day as people say it.
function dayOf(time) {
  const day = new Date(time);
  const is = (other) => day.toDateString() === new Date(other).toDateString();
  if (is(Date.now())) return "Today";
  if (is(Date.now() - DAY_MS)) return "Yesterday";
  const sameYear = day.getFullYear() === new Date().getFullYear();
  return day.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long", year: sameYear ? undefined : "numeric" });
}

// linked is text with its addresses made links: built of nodes, and only what the browser reads as http.
function linked(element, text) {
  let from = 0;
  for (const m of text.matchAll(LINK)) {
    const address = m[0].replace(/[.,;:!?)\]}]+$/, "");
    if (!URL.canParse(address)) continue;
    const link = make("a", "", address);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    element.append(text.slice(from, m.index), link);
    from = m.index + address.length;
  }
  element.append(text.slice(from));
}

export class Log {
  atEnd = true;
  unseen = 0; // lines below what is visible
  #talks;
  #log;
  #start; // what stands above the first line
  #rows = new WeakMap(); // entry -> its row
  #entries = new WeakMap(); // row -> its entry
  #acts; // what the buttons in lines do: {again, drop, person, seen}
  #due = false;
  #top = 0; // where the log was scrolled to last

  constructor(log, start, talks, acts) {
    this.#log = log;
    this.#start = start;
    this.#talks = talks;
    this.#acts = acts;
    const mine = (f) => ({ detail }) => { if (detail.talk === talks.current) f(detail); };
    talks.addEventListener("added", mine((d) => this.#added(d)));
    talks.addEventListener("moved", mine((d) => this.#moved(d)));
    talks.addEventListener("removed", mine((d) => this.#removed(d)));
    talks.addEventListener("changed", mine((d) => { if (d.entry) this.#fate(d.entry); else this.#head(); }));
    log.addEventListener("scroll", () => this.#scrolled());
    log.addEventListener("animationstart", () => { if (this.atEnd) this.toEnd(); }); // a fate took its place
    new ResizeObserver(() => { if (this.atEnd) this.toEnd(); }).observe(log);
  }

  // to scrolls, which is not the reader's doing.
  #to(top) {
    this.#log.scrollTop = top;
    this.#top = this.#log.scrollTop;
  }

  // show fills the log with another talk.
  show(talk) {
    this.#log.ariaBusy = "true"; // a screen reader need not read all of it
    this.#log.replaceChildren(this.#start, ...talk.entries.map((e) => this.#row(e)));
    for (const row of this.#log.children) this.#arrange(row);
    this.unseen = 0;
    this.#head();
    const fresh = this.#log.querySelector(".fresh");
    this.toEnd();
    if (fresh && fresh.offsetTop < this.#log.scrollTop) {
      this.#to(fresh.offsetTop - TOP_PX / 2);
      this.atEnd = false;
    }
    this.#log.ariaBusy = "false";
    this.#fill();
  }

  toEnd() {
    this.atEnd = true;
    this.#to(this.#log.scrollHeight);
    this.unseen = 0;
    this.#acts.seen();
  }

  #added({ entry, next, old }) {
    if (old) return this.#prepend(entry, next);
    this.#put(entry, next);
    if (entry.mine && entry.fate) this.atEnd = true;
    else if (entry.kind === "message" && (document.hidden || !this.atEnd)) this.unseen++;
    this.#settle();
  }

  // What is read stays where it is while older lines come in above it.
  #prepend(entry, next) {
    this.#log.ariaBusy = "true";
    const { scrollHeight, scrollTop } = this.#log;
    this.#put(entry, next);
    this.#to(scrollTop + this.#log.scrollHeight - scrollHeight);
    this.#settle();
  }

  #put(entry, next) {
    const row = this.#rows.get(entry) ?? this.#row(entry);
    const after = (next && this.#rows.get(next)) ?? null;
    if (row.parentNode !== this.#log || row.nextElementSibling !== after) this.#log.insertBefore(row, after);
    this.#arrange(row);
    this.#arrange(row.nextElementSibling);
  }

  #moved({ entry, next }) {
    const after = this.#rows.get(entry)?.nextElementSibling;
    this.#put(entry, next);
    this.#arrange(after);
    this.#fate(entry);
    this.#settle();
  }

  #removed({ entry }) {
    const row = this.#rows.get(entry);
    const next = row?.nextElementSibling;
    row?.remove();
    this.#rows.delete(entry);
    this.#arrange(next);
  }

  #settle() {
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      this.#log.ariaBusy = "false";
      if (this.atEnd) {
        this.#talks.trim(this.#talks.current);
        const { unseen } = this;
        this.toEnd();
        if (document.hidden) this.unseen = unseen;
      }
      this.#head();
      this.#acts.seen();
    }, FRAME_MS);
  }

  // Lines that have come since may have moved the end away; only who scrolls up leaves it.
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    const near = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (near || scrollTop < this.#top) this.atEnd = near;
    this.#top = scrollTop;
    if (this.atEnd && !document.hidden) this.unseen = 0;
    this.#acts.seen();
    this.#fill();
  }

  // fill asks for older lines while the top is near.
  async #fill() {
    const talk = this.#talks.current;
    if (talk.recorded === null && talk.kind === "room") return;
    while (talk.more && !talk.loading && talk.coming <= 0 && this.#log.scrollTop < TOP_PX && await this.#talks.older(talk) && talk === this.#talks.current);
  }

  // head says what lies above the first line. What is read stays where it is.
  #head() {
    const { scrollHeight, scrollTop } = this.#log;
    this.#writeHead(this.#talks.current);
    const grown = this.#log.scrollHeight - scrollHeight;
    if (this.atEnd) this.#to(this.#log.scrollHeight);
    else if (grown) this.#to(scrollTop + grown);
    this.#fill();
  }

  #writeHead(talk) {
    const [mark, title, text] = this.#start.children;
    const loading = talk.more || (talk.recorded === null && talk.kind === "room" && !talk.notice);
    this.#start.className = loading ? "loading" : "";
    mark.textContent = talk.kind === "room" ? "#" : "";
    if (talk.kind === "direct") mark.replaceChildren(face(talk.name, talk.title));
    title.textContent = loading ? "" : talk.title;
    if (talk.notice) text.textContent = talk.notice;
    else if (talk.more) text.textContent = talk.loading ? "Loading what was said before…" : "";
    else if (loading) text.textContent = "";
    else if (talk.kind === "direct") text.textContent = `Only you and ${talk.title} can read this. It waits for them if they are away.`;
    else if (talk.recorded) text.textContent = "This is where the room begins. What you write goes to everyone in it, and is kept.";
    else text.textContent = "Nothing is kept here: you see what is said while you are in the room.";
  }

  #row(entry) {
    const row = make("div", "line " + entry.kind);
    this.#rows.set(entry, row);
    this.#entries.set(row, entry);
    const day = make("div", "day", entry.time ? dayOf(entry.time) : "");
    const fresh = make("div", "new", "New");
    row.append(day, fresh);
    if (entry.kind === "notice") {
      row.append(make("p", "", entry.text));
      return row;
    }
    row.classList.toggle("mine", entry.mine);
    row.classList.toggle("code", entry.code === true);
    const box = make("div", "box");
    const who = make("div", "who");
    const name = make("button", `name ${hueOf(entry.user)}`, entry.mine ? "You" : entry.name);
    name.disabled = entry.mine;
    name.tabIndex = -1;
    name.onclick = () => this.#acts.person(entry.user, entry.name);
    const time = make("time", "", new Date(entry.time).toLocaleTimeString([], { timeStyle: "short" }));
    time.dateTime = new Date(entry.time).toISOString();
    time.title = new Date(entry.time).toLocaleString();
    who.append(name, " ", time, " ");
    const body = make("p");
    body.dir = "auto";
    linked(body, entry.text);
    box.append(who, body);
    row.append(face(entry.user, entry.name), box);
    this.#fate(entry);
    return row;
  }

  // fate is what became of an own line that has no place yet.
  #fate(entry) {
    const row = this.#rows.get(entry);
    const box = row?.querySelector(".box");
    if (!box) return;
    row.classList.toggle("pending", entry.fate === "sending");
    row.classList.toggle("failed", entry.fate === "failed");
    box.querySelector(".fate")?.remove();
    if (!entry.fate || entry.fate === "sent") return;
    const fate = make("div", "fate", entry.fate === "sending" ? "not sent yet" : `Not sent: ${entry.error.message} `);
    if (entry.fate === "failed") {
      const act = (label, f) => {
        const button = make("button", "", label);
        button.onclick = () => f(this.#talks.current, entry);
        fate.append(button, " ");
      };
      act("Try again", this.#acts.again);
      act("Remove", this.#acts.drop);
    }
    box.append(fate);
  }

  // arrange decides by the line before whether this one needs its day and its name.
  #arrange(row) {
    const entry = row && this.#entries.get(row);
    if (!entry) return;
    const before = this.#entries.get(row.previousElementSibling);
    const newDay = !!entry.time && (!before || new Date(before.time ?? entry.time).toDateString() !== new Date(entry.time).toDateString());
    const sameHand = before?.kind === "message" && before.user === entry.user && before.name === entry.name;
    row.classList.toggle("dated", newDay);
    row.classList.toggle("fresh", entry.fresh === true);
    row.classList.toggle("first", newDay || entry.fresh === true || !sameHand || entry.time - before.time > GROUP_MS);
  }
}
