// What stands for a person: a colour of their own and two letters of their name.

const HUES = 8; // .hue0 to .hue7 in throng.css

// hueOf is the same for the same user everywhere.
export function hueOf(user) {
  let h = 2166136261;
  for (const c of user) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  return `hue${((h >>> 0) ^ (h >>> 15)) % HUES}`.replace("-", "");
}

function lettersOf(name) {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? ["?"];
  const letters = words.length > 1 ? words.slice(0, 2).map((w) => [...w][0]) : [...words[0]].slice(0, 2);
  return letters.join("").toUpperCase();
}

export function face(user, name) {
  const mark = document.createElement("span");
  mark.className = `face ${hueOf(user)}`;
  mark.ariaHidden = "true";
  mark.textContent = lettersOf(name);
  return mark;
}
