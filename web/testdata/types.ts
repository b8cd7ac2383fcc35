// What throng.d.ts promises, used: it has to compile, and the lines marked as errors must not.

import { Throng, Room, RawClient, ThrongError, backoff, newKey, turn } from "../throng.js";
import type { Ack, Gap, Message, Options, State } from "../throng.js";

const options: Options = { name: "Ann", storage: localStorage, token: async () => "jwt" };
const throng = new Throng("wss://chat.example", options);
new Throng(new URL("https://chat.example"));
new Throng();
throng.addEventListener("state", (e) => {
  const { state, until }: State = e.detail;
  if (state === "waiting") console.log((until ?? 0) - Date.now());
});
throng.addEventListener("error", ({ detail }) => console.log(detail.code, detail.hint, detail.retry));
throng.connect();

const tea: Room = throng.join("tea", { last: 50 });
tea.addEventListener("message", (e) => {
  const m: Message = e.detail;
  console.log(m.name, m.text?.length, m.data?.byteLength);
});
tea.addEventListener("gap", (e) => console.log(e.detail.from, e.detail.to));
tea.addEventListener("presence", (e) => console.log(e.detail.joined.map((p) => p.name), tea.people.get("ann")));

export async function read(room: Room): Promise<void> {
  for await (const m of room) {
    if (m.type === "gap") {
      const gap: Gap = m;
      console.log(gap.oldest);
    } else {
      console.log(m.text);
    }
  }
}

export async function speak(): Promise<void> {
  const ack: Ack = await tea.publish("hello", { key: newKey() });
  if (ack.stored) console.log(ack.seq);
  await tea.publish({ json: { any: [1] } });
  await tea.publish({ data: new Uint8Array(3) });
  await throng.publish("@bob", "psst");
  await tea.signal({ json: { typing: true } });
  const page = await tea.history({ before: 12, limit: 10 });
  console.log(page.messages[0]?.seq, page.more, (await tea.members()).count, await throng.ping());
  throng.inbox({ last: 10 }).leave();
  try {
    await tea.ready;
  } catch (e) {
    if (e instanceof ThrongError) console.log(e.code, e.room);
  }
}

const raw = new RawClient("wss://chat.example/rooms/tea");
raw.addEventListener("message", (e) => console.log(e.data));
const sent: boolean = raw.send("hello");
const ms: number = backoff(3) + turn(1001, "restart; reconnect in 5 ms") + Number(sent);
console.log(ms);

// @ts-expect-error: a room is made by join
new Room("tea");
// @ts-expect-error: nothing is said
tea.publish({});
// @ts-expect-error: there is no such state
if (throng.state === "offline") console.log();
// @ts-expect-error: it is told, not set
throng.user = "bob";
