// A bot in Node, with the WebSocket of the module ws, driven by a Go test: it says in a room what comes in as
// lines, and tells as lines what happens.
//   node bot.mjs URL ROOM

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { Throng } from "../throng.js";

const WebSocket = createRequire(new URL("../../testdata/package.json", import.meta.url))("ws");
const [url, name] = process.argv.slice(2);
const tell = (...what) => process.stdout.write(what.join(" ") + "\n");

const throng = new Throng(url, { WebSocket, name: "Bot" });
throng.addEventListener("state", (e) => tell("state", e.detail.state));
const room = throng.join(name, { last: 10 });
throng.connect();
(async () => {
  for await (const m of room) tell(m.type === "gap" ? `gap ${m.from}-${m.to}` : `heard ${m.name}: ${m.text}`);
  tell("left");
})();
createInterface({ input: process.stdin }).on("line", async (line) => {
  const { stored, duplicate } = await room.publish(line);
  tell("stored", line, stored, duplicate);
}).on("close", () => throng.close());
