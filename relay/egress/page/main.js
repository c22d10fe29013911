// The page of one stream. It plays the stream and, unless it is embedded, publishes to it.
import { History } from "./history.js";
import { Player } from "./player.js";
import { Publisher } from "./publish.js";
import { forget, saved, touch } from "./saved.js";
import { $, notice, say, span, tell } from "./view.js";

const base = location.pathname.replace(/\/+$/, "");
const query = new URLSearchParams(location.search);
const embedded = query.has("embed");
const video = $("video");
const history = new History($("history"));
let session; // a Player or a Publisher

document.title = decodeURIComponent(base.split("/").slice(-2).join("/")) + " · Holdfast";
$("title").textContent = document.title.replace(" · Holdfast", "");
if (embedded) {
  document.documentElement.classList.add("embed");
  for (const id of ["title", "past", "facts", "watcher", "publisher"]) $(id).remove();
}

// words returns the texts for a viewer's state.
function words({ line, detail, report }) {
  switch (line) {
    case "connecting": return ["retry", "connecting"];
    case "down": return ["retry", "reconnecting", navigator.onLine ? detail : "this browser is offline"];
    case "absent":
      if (report?.state === "held") return ["held", "held, last picture", "the publisher is expected back"];
      return ["absent", "not live yet", "it plays as soon as it begins"];
    case "ended": return ["ended", "ended", "it plays if it begins again"];
    case "refused": return ["off", "refused", detail];
  }
  return report?.state === "held" ? ["held", "held, last picture", "the publisher is away"] : ["live", "live"];
}

let shown = {}; // the state that is shown, and since when
function changed(state) {
  const [is, word, detail] = words(state);
  const key = is + (state.report?.since ?? "");
  if (shown.key !== key) {
    shown = { key, is, since: Date.now() };
    if (is === "held") shown.since -= Date.parse(state.report.now) - Date.parse(state.report.since);
  }
  if (state.report && state.report !== history.last) history.report((history.last = state.report));
  if (is === "ended") history.stream.is("ended");
  if (is === "absent") history.stream.is("none");
  history.line.is({ live: "live", held: "live", retry: state.line === "down" ? "down" : "none" }[is] ?? "none");
  say(is, word, detail);
  if (is === "off") idle();
}

function facts() {
  const { latency, words = [], ...counts } = session?.facts() ?? {};
  const passed = ["held", "retry"].includes(shown.is) && session?.kind !== "whip" ? span(Date.now() - shown.since) : "";
  const delay = latency !== undefined && shown.is === "live" ? `${Math.max(0, latency).toFixed(1)} s behind` : "";
  tell({ since: passed && `for ${passed}`, facts: [session?.kind && { mse: "Media Source", hls: "HLS", whep: "WebRTC", whip: "WebRTC" }[session.kind], delay, ...words].filter(Boolean).join(" · ") });
  if (!embedded) history.show();
  // For pages that embed this one, and for tests; read-only.
  stats = Object.freeze({ ...counts, way: session?.kind, latency, state: $("word").textContent, offline: !navigator.onLine });
}
let stats = Object.freeze({});
Object.defineProperty(window, "holdfast", { get: () => (facts(), stats) });

// idle resets the labels of the buttons.
function idle() {
  if (embedded) return;
  $("watch").textContent = "Watch";
  $("publish").textContent = "Publish";
}

function stop(word, detail) {
  session?.close();
  session = undefined;
  shown = {};
  history.line.is("none");
  notice("");
  idle();
  if (word) say("off", word, detail);
}

// watch plays by the chosen protocol, or by the first that works.
function watch() {
  forget();
  stop();
  say("retry", "connecting");
  shown = { is: "retry", since: Date.now() };
  if (!embedded) $("watch").textContent = "Stop watching";
  session = new Player({ base, video, token: query.get("token"), by: chosen(), changed, notice });
}

const ways = ["mse", "hls", "whep"];
let by = ways.includes(query.get("by")) ? query.get("by") : "auto";
const chosen = () => by;

// publish publishes the chosen source, or resumes what was published before a reload.
function publish(before) {
  stop();
  say("retry", "connecting");
  $("publish").textContent = "Stop publishing";
  session = new Publisher({ base, video, ended: stop });
  return before ? session.resume(before) : session.start($("source").value);
}

function sound() {
  $("sound").textContent = video.muted ? "Sound on" : "Sound off";
}

$("sound").onclick = () => {
  video.muted = !video.muted;
  if (video.paused) video.play().catch(() => {}); // autoplay is blocked: the viewer has to start it
};
video.onvolumechange = sound;
$("again").onclick = () => {
  const { activeElement } = document;
  if (shown.is === "off" || !session) watch();
  else session.now();
  if (activeElement === $("again")) $("sound").focus(); // this button disappears
};
if (!embedded) {
  $("by").value = by;
  $("by").onchange = () => {
    by = $("by").value;
    watch();
  };
  $("watch").onclick = () => ($("watch").textContent === "Watch" ? watch() : stop("stopped"));
  $("publisher").onsubmit = (e) => {
    e.preventDefault();
    if ($("publish").textContent === "Publish") return void publish();
    forget();
    stop("stopped");
  };
}
addEventListener("offline", () => session?.state && changed(session.state));
// Reloading or leaving the page does not end the stream; only the button does.
addEventListener("pagehide", () => {
  if (session?.kind !== "whip") return session?.close();
  touch();
  session.leave();
});
// begin resumes what this tab published, or does what the URL says.
function begin() {
  const before = embedded ? undefined : saved();
  if (before) publish(before);
  else if (query.has("publish") && !embedded) say("off", "ready to publish");
  else watch();
}
// A page that is restored from the back/forward cache has a session that has ended.
addEventListener("pageshow", (e) => {
  if (!e.persisted || !session) return;
  session = undefined;
  begin();
});
setInterval(() => {
  facts();
  if (session?.kind === "whip") touch();
}, 1000);
begin();
facts();
