// The chat page: the room that its address names, a line to write in, and how the connection is.
// What others say gets into the page through textContent only.

import { Client } from "./throng.js";

const LINES_MAX = 1000; // kept in the page
const CHARS_MAX = 1 << 20; // in them: a message may be 64 KiB
const UNSURE_MAX = 100; // own messages whose return is waited for
const NAME_BYTES_MAX = 64;
const FRAME_MS = 16; // what is said within one is shown together
const NEAR_PX = 48; // this close to the end counts as reading along

const $ = (id) => document.getElementById(id);
const [log, empty, newer, say, text, go, field, state, word, wait, retry] =
  ["log", "empty", "newer", "say", "text", "go", "room", "state", "word", "wait", "retry"].map($);

let client, room;
let queue = []; // lines to be shown
let unsure = []; // own messages that have not come back, oldest first
let chars = 0;
let minute; // of the line before
let unseen = 0; // lines below what is visible, or come while the tab was hidden
let atEnd = true;
let lostAt = 0; // when the connection went, 0 while it stands
let clock;
let shift = false;

// The room.

function roomOf(path) {
  if (path === "/") return "lobby";
  try { return decodeURIComponent(path.slice(7)); } catch { return ""; }
}

function pathOf(name) {
  return name === "lobby" ? "/" : "/rooms/" + encodeURIComponent(name).replaceAll("%3A", ":");
}

// wrongWith says why a name cannot be a room's, as the server would.
function wrongWith(name) {
  if (name.startsWith("@")) return "Names that begin with @ are reserved.";
  if (!/^[\p{L}\p{N}_~:.-]+$/u.test(name)) return "A name is made of letters, digits and _ ~ : . -";
  if (name === "." || name === "..") return "Dots alone are no name.";
  return new TextEncoder().encode(name).length > NAME_BYTES_MAX ? "That name is too long." : "";
}

function enter() {
  client?.close();
  room = field.value = roomOf(location.pathname);
  queue = [];
  unsure = [];
  log.replaceChildren(empty);
  chars = lostAt = 0;
  atEnd = true;
  minute = "";
  seen();
  client = new Client(location.origin.replace("http", "ws") + pathOf(room));
  client.addEventListener("message", (e) => heard(e.data));
  client.addEventListener("state", (e) => changed(e.detail));
  client.connect();
}

function move(name) {
  if (name !== room) {
    history.pushState(null, "", pathOf(name));
    enter();
  }
  text.focus();
}

go.onsubmit = (e) => {
  e.preventDefault();
  const name = field.value.trim().replace(/^#/, "").normalize();
  field.setCustomValidity(wrongWith(name));
  if (field.reportValidity()) move(name);
};
field.oninput = () => field.setCustomValidity("");
field.onfocus = () => field.select();
field.onblur = () => { field.value = room; };
$("home").onclick = (e) => {
  if (e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  move("lobby");
};
onpopstate = enter;

// The connection.

const CAUSES = {
  idle: "You were silent for long and were let go. Press a key or touch the page to come back.",
  refused: "The server does not let you into this room.",
  restart: "The server is restarting.",
  fast: "Too fast: that was more than the server takes from one person.",
};
const WORDS = { idle: "let go", restart: "restarting", fast: "too fast", network: "no network", refused: "refused" };

function changed({ state: now, why, until, code }) {
  if (now === "closed") return;
  show(now, now === "waiting" || now === "away" ? WORDS[why] ?? "offline" : now, until);
  retry.hidden = !["lost", "network", "refused"].includes(why);
  if (now === "online" && lostAt) {
    const s = Math.ceil((Date.now() - lostAt) / 1000);
    notice(`Back after ${s < 120 ? s + " s" : Math.round(s / 60) + " min"}. What was said meanwhile is not shown.`);
    lostAt = 0;
  } else if (why && !lostAt) {
    lostAt = Date.now();
    notice(code === 1009 ? "That message was longer than the server takes."
      : CAUSES[why] ?? "There is no connection to the server.");
  }
  if (now !== "online") giveBack();
  if (why === "lost" && client.failures === 3) explain(client);
}

// A browser hides why a handshake failed. Whether the server is there at all, it tells.
async function explain(asked) {
  const { ok } = await fetch("/healthz").catch(() => ({}));
  if (ok && asked === client && lostAt) {
    notice("The server is there but refuses: it may be full, or not know this address as its own.");
  }
}

function show(kind, said, until) {
  state.dataset.state = kind;
  word.textContent = said;
  clearInterval(clock);
  const tick = () => {
    const s = Math.ceil((until - Date.now()) / 1000);
    wait.textContent = s > 0 ? `: retry in ${s} s` : "";
  };
  tick();
  if (until) clock = setInterval(tick, 250);
  say.classList.toggle("off", kind !== "online");
}

// What did not come back may have arrived or not. Only its author can decide to say it again.
function giveBack() {
  if (!unsure.length) return;
  text.value = [...unsure, text.value].filter(Boolean).join("\n");
  notice("What you said last may not have arrived. It is back in the field.");
  unsure = [];
}

onpointerdown = onkeydown = (e) => {
  if (client.why === "idle") client.wake();
  // Escape goes to the newest line and the field; a letter typed nowhere belongs into the field.
  if (e.key === "Escape") toEnd();
  const letter = e.key?.length === 1 && e.key !== " " && !e.ctrlKey && !e.metaKey && !e.altKey;
  if (e.key === "Escape" || (letter && [document.body, log].includes(document.activeElement))) text.focus();
};
retry.onclick = () => client.wake();
document.onvisibilitychange = () => {
  if (document.hidden) return;
  client.wake();
  if (atEnd) seen();
};

// What is said.

function heard(data) {
  // Everybody's messages come back in one order, so the own ones return in the order they were sent.
  // Nothing else says whose a raw message is.
  const nth = unsure.indexOf(data);
  unsure.splice(0, nth + 1);
  if (typeof data === "string") line(data, nth < 0 ? "" : "mine");
  else line(`[binary, ${data.byteLength} bytes]`, "binary");
}

function notice(said) { line(said, "notice"); }

function line(said, kind) {
  if (queue.push({ said, kind, at: new Date() }) === 1) setTimeout(flush, FRAME_MS);
  if (queue.length > LINES_MAX) queue.shift();
  if (kind !== "notice" && (document.hidden || !atEnd)) unseen++;
}

function flush() {
  if (queue.length) empty.remove();
  for (const { said, kind, at } of queue) {
    const row = document.createElement("div");
    const body = document.createElement("p");
    row.className = "line " + kind;
    body.dir = "auto";
    body.textContent = said;
    row.append(body);
    const now = at.toLocaleTimeString([], { timeStyle: "short" });
    if (kind !== "notice" && now !== minute) {
      row.append(document.createElement("time"));
      row.lastChild.textContent = minute = now;
    }
    log.append(row);
    chars += said.length;
  }
  queue = [];
  while (log.childElementCount > LINES_MAX || (chars > CHARS_MAX && log.childElementCount > 1)) {
    chars -= log.firstChild.firstChild.textContent.length;
    log.firstChild.remove();
  }
  if (atEnd) toEnd();
  badge();
}

function toEnd() {
  atEnd = true;
  log.scrollTop = log.scrollHeight;
  if (!document.hidden) seen();
}

function seen() {
  unseen = 0;
  badge();
}

function badge() {
  document.title = `${unseen && document.hidden ? `(${unseen}) ` : ""}#${room} · throng`;
  newer.hidden = atEnd || !unseen;
  newer.textContent = `${unseen} new ${unseen === 1 ? "message" : "messages"} ↓`;
}

log.onscroll = () => {
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  if (atEnd && unseen && !document.hidden) seen();
};
new ResizeObserver(() => { if (atEnd) toEnd(); }).observe(log);
newer.onclick = () => {
  toEnd();
  text.focus();
};

// What one says.

say.onsubmit = (e) => {
  e.preventDefault();
  text.focus();
  const said = text.value;
  if (!said.trim() || !client.send(said)) return;
  unsure.push(said);
  if (unsure.length > UNSURE_MAX) unsure.shift();
  text.value = "";
  toEnd();
};
// Unlike the key, a line break comes after what an input method makes of Enter.
text.onkeydown = (e) => { shift = e.shiftKey; };
text.addEventListener("beforeinput", (e) => {
  if (e.inputType !== "insertLineBreak" || shift) return;
  e.preventDefault();
  say.requestSubmit();
});

enter();
