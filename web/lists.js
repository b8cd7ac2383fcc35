// The lists beside the log: rooms, direct messages, and who is here.

import { face } from "./face.js";

const PEOPLE_MAX = 300; // shown by name

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// pathOf is a talk's address.
export function pathOf(talk) {
  if (talk.id === "#lobby") return "/";
  return "/rooms/" + encodeURIComponent(talk.address).replaceAll("%3A", ":").replaceAll("%40", "@");
}

// fill puts items into a list without taking the focus from the one that had it.
function fill(list, items) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  list.replaceChildren(...items);
  if (focused) [...list.querySelectorAll("[data-id]")].find((e) => e.dataset.id === focused)?.focus();
}

// showTalks lists the rooms and the people one talks with.
export function showTalks(rooms, directs, talks, { go, leave }) {
  const item = (talk) => {
    const li = make("li");
    const link = make("a", "talk");
    link.href = pathOf(talk);
    link.dataset.id = talk.id;
    if (talk === talks.current) link.ariaCurrent = "page";
    link.classList.toggle("unread", talk.unread > 0);
    link.append(talk.kind === "room" ? make("span", "hash", "#") : face(talk.name, talk.title), make("span", "label", talk.title));
    if (talk.unread) {
      link.append(make("span", "badge", talk.unread > 99 ? "99+" : String(talk.unread)), make("span", "unseen", "unread"));
    }
    link.onclick = (e) => {
      if (e.ctrlKey || e.metaKey || e.shiftKey) return;
      e.preventDefault();
      go(talk);
    };
    li.append(link);
    if (talk.kind === "room" && talk.name !== "lobby") {
      const drop = make("button", "drop", "×");
      drop.ariaLabel = `Leave ${talk.title}`;
      drop.title = drop.ariaLabel;
      drop.onclick = () => leave(talk);
      li.append(drop);
    }
    return li;
  };
  fill(rooms, talks.rooms.map(item));
  fill(directs, talks.directs.map(item));
}

// showPeople lists who is in a room, oneself first.
export function showPeople(list, room, me, person) {
  const here = [...room.people].sort((a, b) => (b[0] === me) - (a[0] === me) || a[1].localeCompare(b[1]));
  const items = here.slice(0, PEOPLE_MAX).map(([user, name]) => {
    const li = make("li");
    const button = make("button", "person");
    button.dataset.id = user;
    button.append(face(user, name), make("span", "label", name));
    if (user === me) {
      button.disabled = true;
      button.append(make("small", "", "you"));
    } else {
      button.title = `Write to ${name}`;
      button.onclick = () => person(user, name);
    }
    li.append(button);
    return li;
  });
  const others = room.count - items.length;
  if (others > 0 && items.length) items.push(make("li", "others", `and ${others.toLocaleString()} more`));
  fill(list, items);
}

// walk moves the focus in a list by the arrow keys.
export function walk(e) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (!step || e.altKey || !e.target.matches(".talk, .person")) return;
  const all = [...e.currentTarget.querySelectorAll(".talk, .person:enabled")];
  all[all.indexOf(e.target) + step]?.focus();
  e.preventDefault();
}
