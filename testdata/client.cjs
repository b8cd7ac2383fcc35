// A WebSocket client made of the module ws, driven by a Go test: orders come in as lines of JSON, what happens goes out as such.
//   node client.cjs URL [deflate]
"use strict";
const WebSocket = require("ws");

const [url, deflate] = process.argv.slice(2);
const ws = new WebSocket(url, { perMessageDeflate: deflate === "deflate" });
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");

ws.on("open", () => tell({ event: "open", data: ws.extensions }));
ws.on("message", (data, binary) => tell({ event: binary ? "binary" : "text", data: data.toString(binary ? "hex" : "utf8") }));
ws.on("pong", (data) => tell({ event: "pong", data: data.toString() }));
ws.on("error", (e) => tell({ event: "error", data: e.message }));
ws.on("close", (code, reason) => {
  tell({ event: "close", code, data: reason.toString() });
  process.stdin.destroy();
});

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { do: what, data } = JSON.parse(line);
  if (what === "ping") ws.ping(data[0]);
  else data.forEach((part, i) => ws.send(what === "binary" ? Buffer.from(part, "hex") : part,
    { binary: what === "binary", fin: i === data.length - 1 }));
});
