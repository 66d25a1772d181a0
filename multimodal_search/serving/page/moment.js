// A moment by itself: its picture, its scene in time, its signal with a stretch to search for, its metadata.

import { getJson, inPath } from "./api.js";
import { byId, el, icon, iconButton } from "./dom.js";
import { alike, signalOf, vote } from "./hits.js";
import { described, fieldName, moment, t, valueName } from "./language.js";
import { problem } from "./notices.js";
import { stretchPlot } from "./signal-plot.js";
import { change, on, state } from "./store.js";
import { filmstrip } from "./timeline.js";

let shown = "";

export function startMoment() {
  const dialog = byId("moment");
  on("query", follow);
  on("language", () => {
    shown = "";
    follow();
  });
  on("votes", markVotes);
  dialog.addEventListener("close", () => state.query.moment && change({ moment: "" }, { quiet: true }));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  follow();
}

/** Open, change or close, as the address bar says. */
async function follow() {
  const { moment: id } = state.query;
  const dialog = byId("moment");
  if (id === shown) return;
  shown = id;
  if (!id) return dialog.close();
  try {
    const found = await getJson(`/moments/${inPath(id)}`);
    if (shown !== id) return;
    const hit = state.hits.find((one) => one.id === id);
    draw(dialog, { ...found, ...(hit && { frames: hit.frames, score: hit.score }) });
    if (!dialog.open) dialog.showModal();
    dialog.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  } catch (error) {
    shown = "";
    change({ moment: "" }, { replace: true, quiet: true });
    problem(error);
  }
}

function draw(dialog, found) {
  const text = described(found) || t("no_text");
  const place = state.hits.findIndex((one) => one.id === found.id);
  const others = found.texts.filter((one) => one !== text);
  dialog.replaceChildren(
    el("header", { class: "moment-head" },
      el("h2", { id: "moment-title" }, text),
      place >= 0 ? iconButton("previous", t("previous"), () => step(-1), { disabled: place === 0 }) : "",
      place >= 0 ? iconButton("next", t("next"), () => step(1), { disabled: place === state.hits.length - 1 }) : "",
      iconButton("close", t("close"), () => dialog.close())),
    el("div", { class: "moment-body" },
      el("div", { class: "moment-left" }, picture(found, text), found.timeline.length > 1 ? filmstrip(found, found.timeline) : "", signal(found)),
      el("aside", { class: "moment-right" }, actions(found), others.map((one) => el("p", { class: "other-text" }, one)), facts(found))),
  );
  markVotes();
}

/** To the next or previous hit. */
export function step(by) {
  const place = state.hits.findIndex((one) => one.id === state.query.moment);
  const next = state.hits[place + by];
  if (place >= 0 && next) change({ moment: next.id }, { quiet: true, replace: true });
}

function picture(found, text) {
  if (!found.image_url) return el("div", { class: "big none" }, t("no_picture"));
  return el("a", { class: "big", href: found.image_url, target: "_blank", rel: "noopener" }, el("img", { src: found.image_url, alt: text, width: 1600, height: 900 }));
}

function signal(found) {
  const place = el("div", { class: "signal" });
  if (!found.signal_url) return place;
  place.append(el("h3", {}, t("signal")));
  const waiting = el("div", { class: "plot waiting" });
  place.append(waiting);
  signalOf(found.id).then((one) => waiting.replaceWith(stretchPlot(one, (start, end) => {
    const part = { kind: "stretch", value: found.id, start, end, weight: 1 };
    change({ words: "", not: "", parts: [part], scenario: "", moment: "" });
  })), (error) => waiting.replaceWith(el("p", { class: "hint" }, error.message)));
  return place;
}

function actions(found) {
  const link = (name, href) => (/^(https?|foxglove|rerun):/i.test(href) || href.startsWith("/")
    ? el("a", { class: "button", href, target: "_blank", rel: "noopener" }, icon("link"), t(name)) : "");
  const { recording } = found;
  return el("div", { class: "moment-actions", data: { id: found.id } },
    el("button", { type: "button", class: "primary", on: { click: () => alike(found) } }, t("like")),
    el("button", { type: "button", on: { click: () => alike(found, -1) } }, t("unlike")),
    iconButton("up", t("vote_up"), () => vote(found.id, "up"), { "data-vote": "up", "aria-pressed": "false" }),
    iconButton("down", t("vote_down"), () => vote(found.id, "down"), { "data-vote": "down", "aria-pressed": "false" }),
    recording?.foxglove_url ? link("foxglove", recording.foxglove_url) : "",
    recording?.rerun_url ? link("rerun", recording.rerun_url) : "");
}

function markVotes() {
  for (const button of byId("moment").querySelectorAll("[data-vote]")) {
    button.setAttribute("aria-pressed", String(state[button.dataset.vote].has(button.parentElement.dataset.id)));
  }
}

function facts(found) {
  const rows = [["id", found.id], ["scene_id", found.scene_id], ["timestamp", moment(found.timestamp_us)], ["location", found.location]];
  for (const [name, value] of Object.entries(found.metadata)) {
    if (!rows.some(([known]) => known === name)) rows.push([name, valueName(value)]);
  }
  if (Number.isFinite(found.score) && state.hits.some((one) => one.id === found.id)) rows.unshift([t("score"), found.score.toFixed(3)]);
  return el("dl", { class: "facts", "aria-label": t("metadata") },
    rows.filter(([, value]) => value).map(([name, value]) => [el("dt", {}, fieldName(name)), el("dd", {}, value)]));
}
