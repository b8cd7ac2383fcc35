// The chat page: where one is, what one writes, and how the connection is.

import { Throng } from "./throng.js";
import { Talks, wrongWith } from "./talks.js";
import { Log } from "./log.js";
import { pathOf, showPeople, showTalks, walk } from "./lists.js";
import { face } from "./face.js";

const TYPING_MS = 3000; // between two signals that one is typing
const NAME_CHARS_MAX = 32;

const $ = (id) => document.getElementById(id);
const [say, text, go, room, state, word, banner, cause, wait, retry, newer, typing, here, naming] =
  ["say", "text", "go", "room", "state", "word", "banner", "cause", "wait", "retry", "newer", "typing", "here", "naming"].map($);

// store is what the browser keeps for the next visit, if it does.
const store = {
  get(key) { try { return JSON.parse(localStorage.getItem("throng." + key)); } catch { return null; } },
  set(key, value) { try { localStorage.setItem("throng." + key, JSON.stringify(value)); } catch { /* then it is forgotten */ } },
};
const session = {
  getItem(key) { try { return localStorage.getItem(key); } catch { return null; } },
  setItem(key, value) { try { localStorage.setItem(key, value); } catch { /* another guest next time */ } },
};

const client = new Throng(location.origin, { name: store.get("name") ?? undefined, storage: session });
const talks = new Talks(client, store);
const log = new Log($("log"), $("start"), talks, {
  again: (talk, entry) => talks.again(talk, entry),
  drop: (talk, entry) => talks.drop(talk, entry),
  person: (user, name) => move(talks.direct(user, name)),
  seen,
});

let lostAt = 0; // when the connection went, 0 while it stands
let clock;
let typed = 0; // when one was last said to be typing
let shift = false;

// Where one is.

// talkOf is what an address names, or the lobby.
function talkOf(path) {
  let name = "lobby";
  try { name = path === "/" ? name : decodeURIComponent(path.slice(7)); } catch { /* no name at all */ }
  if (/^@./.test(name)) return talks.all.get(name) ?? talks.direct(name.slice(1), talks.all.get("#" + name)?.title);
  return talks.room(wrongWith(name) ? "lobby" : name);
}

function enter(talk) {
  if (talks.current) talks.current.draft = text.value;
  talks.enter(talk);
  text.value = talk.draft;
  const direct = talk.kind === "direct";
  document.body.classList.toggle("direct", direct);
  text.placeholder = direct ? `Message ${talk.title}` : `Message #${talk.title}`;
  drawer("");
  log.show(talk);
  about();
  shown();
}

function move(talk) {
  if (talk !== talks.current) {
    history.pushState(null, "", pathOf(talk));
    enter(talk);
  }
  drawer("");
  if (!matchMedia("(pointer: coarse)").matches) text.focus(); // there it would bring up the keyboard
}

// about is what the header says of the talk, and who is here.
function about() {
  const talk = talks.current;
  if (!talk) return;
  const direct = talk.kind === "direct";
  $("mark").replaceChildren(direct ? face(talk.name, talk.title) : "#");
  $("title").textContent = talk.title;
  const n = talk.room?.count ?? 0;
  $("count").textContent = n.toLocaleString();
  $("about").textContent = direct ? "Direct messages" : talk.room.state === "refused" ? "You are not let in"
    : talk.recorded === null ? "" : `${n.toLocaleString()} here${talk.recorded ? "" : " · nothing is kept"}`;
  if (!direct) showPeople($("people"), talk.room, client.user, (user, name) => move(talks.direct(user, name)));
}

function seen() {
  const talk = talks.current;
  if (talk && log.atEnd && !document.hidden) talks.read(talk);
  newer.hidden = log.atEnd || !log.unseen;
  newer.textContent = `${log.unseen} new ${log.unseen === 1 ? "message" : "messages"} ↓`;
  badge();
}

function badge() {
  const talk = talks.current;
  const unread = [...talks.all.values()].reduce((n, t) => n + t.unread, 0);
  const others = unread - (talk?.unread ?? 0);
  const name = talk?.kind === "direct" ? talk.title : `#${talk?.title ?? ""}`;
  document.title = `${unread && (document.hidden || others) ? `(${unread}) ` : ""}${name} · throng`;
  $("elsewhere").textContent = others > 99 ? "99+" : others || "";
}

function lists() {
  showTalks($("rooms"), $("directs"), talks, { go: move, leave: (talk) => {
    if (talk === talks.current) move(talks.room("lobby"));
    talks.leave(talk);
  } });
  $("nobody").hidden = talks.directs.length > 0;
  badge();
}

function shown() {
  const names = talks.typists(talks.current);
  typing.textContent = !names.length ? "" : names.length === 1 ? `${names[0]} is typing…`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing…` : `${names.length} people are typing…`;
}

let listing = false;
talks.addEventListener("list", () => {
  if (listing) return;
  listing = true;
  queueMicrotask(() => {
    listing = false;
    lists();
  });
});
const ofCurrent = (f) => (e) => { if (e.detail.talk === talks.current) f(); };
talks.addEventListener("people", ofCurrent(about));
talks.addEventListener("changed", ofCurrent(about));
talks.addEventListener("typing", ofCurrent(shown));
onpopstate = () => enter(talkOf(location.pathname));

go.onsubmit = (e) => {
  e.preventDefault();
  const name = room.value.trim().replace(/^#/, "").normalize();
  room.setCustomValidity(name ? wrongWith(name) : "Which room?");
  if (!room.reportValidity()) return;
  room.value = "";
  move(talks.room(name));
};
room.oninput = () => room.setCustomValidity("");
$("home").onclick = (e) => {
  if (e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  move(talks.room("lobby"));
};

// drawer opens one of the two lists where the page is too narrow for them: side, here or neither.
function drawer(which) {
  document.body.dataset.drawer = which;
  $("open-side").ariaExpanded = String(which === "side");
  $("open-here").ariaExpanded = String(which === "here");
}
$("open-side").onclick = () => {
  drawer("side");
  $("side").querySelector("[aria-current]")?.focus();
};
$("open-here").onclick = () => {
  const narrow = getComputedStyle($("shade")).getPropertyValue("--narrow") === "1";
  if (narrow) drawer("here");
  else document.body.classList.toggle("alone");
};
$("shade").onclick = () => drawer("");
for (const list of [$("side"), here]) list.onkeydown = walk;

// Who one is.

function whoami() {
  const name = client.name ?? store.get("name") ?? "…";
  $("my-name").textContent = name;
  $("my-face").replaceChildren(face(client.user ?? "", name));
  $("rename").disabled = client.guest === false;
  $("hello").hidden = client.guest !== true || store.get("name") !== null || store.get("hello") === false;
  $("hello-name").textContent = name;
}

function askName() {
  $("name").value = store.get("name") ?? "";
  $("name").placeholder = client.name ?? "";
  $("name-error").textContent = "";
  naming.showModal();
  $("name").select();
}
$("rename").onclick = $("hello-choose").onclick = askName;
$("hello-not").onclick = () => {
  store.set("hello", false);
  whoami();
};
$("name-cancel").onclick = () => naming.close();
naming.onclose = () => text.focus();
$("name-form").onsubmit = async (e) => {
  e.preventDefault();
  const name = $("name").value.trim().normalize().slice(0, NAME_CHARS_MAX);
  if (!name) return;
  try {
    await client.rename(name);
  } catch (error) {
    if (!["lost", "offline"].includes(error.code)) {
      $("name-error").textContent = [error.message, error.hint].filter(Boolean).join(". ");
      return;
    }
  }
  store.set("name", name);
  whoami();
  naming.close();
};

// The connection.

const CAUSES = {
  idle: "You were silent for long and were let go. Press a key or touch the page to come back.",
  refused: "The server does not let you in.",
  restart: "The server is restarting.",
  fast: "Too fast: that was more than the server takes from one person.",
  network: "There is no network.",
};
const WORDS = { idle: "let go", restart: "restarting", fast: "too fast", network: "no network", refused: "refused" };

function changed({ state: now, why, until, reason }) {
  if (now === "closed") return;
  state.dataset.state = now;
  word.textContent = now === "waiting" || now === "away" ? WORDS[why] ?? "offline" : now;
  if (now === "online") lostAt = 0;
  else if (why && !lostAt) lostAt = Date.now();
  if (why) {
    cause.textContent = `${CAUSES[why] ?? "There is no connection to the server."}${why === "refused" && reason ? ` (${reason})` : ""}`
      + (why === "idle" ? "" : " What you write is kept, and sent when you are back.");
  }
  banner.hidden = !lostAt;
  retry.hidden = !["lost", "network", "refused"].includes(why);
  clearInterval(clock);
  const tick = () => {
    const s = Math.ceil((until - Date.now()) / 1000);
    wait.textContent = s > 0 ? `Next try in ${s} s.` : now === "connecting" ? "Connecting…" : "";
  };
  tick();
  if (until) clock = setInterval(tick, 250);
  if (now === "online") whoami();
  if (why === "lost" && client.failures === 3) explain();
  about();
}

// A browser hides why a handshake failed. Whether the server is there at all, it tells.
async function explain() {
  const { ok } = await fetch("/healthz").catch(() => ({}));
  if (ok && lostAt) cause.textContent = "The server is there but refuses: it may be full, or not know this address as its own.";
}

client.addEventListener("state", (e) => changed(e.detail));
retry.onclick = () => client.wake();
document.onvisibilitychange = () => {
  if (document.hidden) return;
  client.wake();
  if (log.atEnd) log.toEnd();
};
onbeforeunload = (e) => { if (client.pending) e.preventDefault(); };

// Keys.

onpointerdown = () => { if (client.why === "idle") client.wake(); };
onkeydown = (e) => {
  if (client.why === "idle") client.wake();
  if (naming.open) return;
  if (e.altKey && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
    e.preventDefault();
    const all = [...talks.rooms, ...talks.directs];
    move(all[(all.indexOf(talks.current) + (e.key === "ArrowDown" ? 1 : -1) + all.length) % all.length]);
  } else if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") {
    e.preventDefault();
    drawer("side");
    room.focus();
  } else if (e.key === "Escape") { // goes to the newest line and the field
    drawer("");
    log.toEnd();
    text.focus();
  } else if (e.key.length === 1 && e.key !== " " && !e.ctrlKey && !e.metaKey && !e.altKey
    && [document.body, $("log")].includes(document.activeElement)) {
    text.focus(); // a letter typed nowhere belongs into the field
  }
};
newer.onclick = () => {
  log.toEnd();
  text.focus();
};

// What one says.

say.onsubmit = (e) => {
  e.preventDefault();
  text.focus();
  if (!text.value.trim()) return;
  talks.say(talks.current, text.value);
  text.value = "";
  typed = 0;
};
text.oninput = () => {
  if (!text.value || Date.now() - typed < TYPING_MS) return;
  typed = Date.now();
  talks.typingIn(talks.current);
};
// Unlike the key, a line break comes after what an input method makes of Enter.
text.onkeydown = (e) => { shift = e.shiftKey; };
text.addEventListener("beforeinput", (e) => {
  if (e.inputType !== "insertLineBreak" || shift) return;
  e.preventDefault();
  say.requestSubmit();
});

enter(talkOf(location.pathname));
lists();
whoami();
client.connect();
