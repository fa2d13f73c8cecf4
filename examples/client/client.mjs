// The service from Node 18 or later, without a package: a file, a job, speech while it is spoken.
//
//     node client.mjs file call.mp3
//     node client.mjs job call.mp3 angry.wav
//     node client.mjs live call.wav            Node 22; before that: node --experimental-websocket client.mjs …
//
// --url=URL names another service than the one on this machine; OVERTONE_KEY holds a key where it asks for one.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const url = process.argv.find((word) => word.startsWith("--url="))?.slice(6) ?? "http://127.0.0.1:8765";
const [what, ...paths] = process.argv.slice(2).filter((word) => !word.startsWith("--url="));
const headers = process.env.OVERTONE_KEY ? { Authorization: `Bearer ${process.env.OVERTONE_KEY}` } : {};

/** A form with the files, each a part called `file`. */
async function form(paths) {
  const parts = new FormData();
  for (const path of paths) parts.append("file", new Blob([await readFile(path)]), basename(path));
  return parts;
}

/** Ask the service; an error is thrown in the service's own words. */
async function ask(path, options = {}) {
  const answer = await fetch(url + path, { headers, ...options });
  if (answer.ok) return answer;
  const text = await answer.text();
  const own = answer.headers.get("content-type") === "application/problem+json";
  const problem = own ? JSON.parse(text) : { code: answer.status, detail: text };
  throw new Error(`${problem.code}: ${problem.detail}`);
}

/** The lines of a body while it comes in. */
async function* lines(body) {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop();
    yield* whole;
  }
  if (rest) yield rest;
}

async function file(path) {
  const answer = await ask("/v1/emotion?granularity=utterance", { method: "POST", body: await form([path]) });
  const record = await answer.json();
  console.log(record.source, record.label, record.score);
}

async function job(paths) {
  const made = await ask("/v1/jobs?granularity=utterance", { method: "POST", body: await form(paths) });
  const { links } = await made.json();
  let event = "";
  for await (const line of lines((await ask(links.events)).body)) {
    if (line.startsWith("event: ")) event = line.slice(7);
    if (line.startsWith("data: ") && event === "progress") {
      const { state, seconds } = JSON.parse(line.slice(6));
      console.error(state, `${seconds.done} of ${seconds.total} s`);
    }
  }
  for await (const line of lines((await ask(links.result)).body)) {
    const record = JSON.parse(line);
    console.log(record.source, record.error ? record.error.message : record.label);
  }
  await ask(links.self, { method: "DELETE" });
}

/** Rate, channels and samples of a WAV file of 16 bits. */
function wav(data) {
  let at = 12;
  let format;
  for (;;) {
    const kind = data.toString("latin1", at, at + 4);
    const size = data.readUInt32LE(at + 4);
    const chunk = data.subarray(at + 8, at + 8 + size);
    if (kind === "fmt ") format = { channels: chunk.readUInt16LE(2), rate: chunk.readUInt32LE(4) };
    if (kind === "data") return { ...format, samples: chunk };
    at += 8 + size + (size % 2);
  }
}

async function live(path) {
  if (!globalThis.WebSocket) throw new Error("this Node has no WebSocket; run it with --experimental-websocket");
  const { rate, channels, samples } = wav(await readFile(path));
  const asked = new URLSearchParams({ rate, channels, name: basename(path) });
  // Node takes headers here; a browser does not, so there a key has to be added by a proxy.
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/stream?${asked}`, { headers });
  const over = new Promise((done, failed) => {
    socket.onerror = () => failed(new Error("the stream was refused, or broke"));
    socket.onclose = ({ code }) => (code === 1000 ? done() : failed(new Error(`the stream was closed with ${code}`)));
  });
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "emotion") console.log(message.start, message.end, message.label);
    if (message.type === "summary") console.log(message.record.source, message.record.label);
    if (message.type === "error") console.error(`${message.code}: ${message.detail}`);
  };
  socket.onopen = async () => {
    const piece = Math.round(rate / 10) * channels * 2; // a tenth of a second
    for (let at = 0; at < samples.length && socket.readyState === WebSocket.OPEN; at += piece) {
      socket.send(samples.subarray(at, at + piece));
      await sleep(100);
    }
    if (socket.readyState === WebSocket.OPEN) socket.send("end");
  };
  await over;
}

const can = { file: () => file(paths[0]), job: () => job(paths), live: () => live(paths[0]) };
if (!can[what] || !paths.length) {
  console.error("node client.mjs file|job|live PATH... [--url=URL]");
  process.exit(2);
}
try {
  await can[what]();
} catch (error) {
  console.error(error.cause?.message ?? error.message);
  process.exit(1);
}
