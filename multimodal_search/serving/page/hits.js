// The hits: a card a moment. Pictures, signals and time lines are asked for when a card comes into view.

import { getJson, inPath } from "./api.js";
import { byId, el, icon, iconButton } from "./dom.js";
import { tells } from "./fields.js";
import { described, fieldName, moment, t, valueName } from "./language.js";
import { drawTimeline, sceneTimes } from "./timeline.js";
import { sparkline } from "./signal-plot.js";
import { change, on, state, tell } from "./store.js";

const SHOWN_FIELDS = 3;
let seen = null; // an IntersectionObserver

export function startHits() {
  on("hits", draw);
  on("language", draw);
  on("votes", markVotes);
}

function draw() {
  seen?.disconnect();
  seen = new IntersectionObserver(comeIntoView, { rootMargin: "200px" });
  const focused = document.activeElement?.closest?.(".card")?.dataset.id;
  const cards = state.hits.map(card);
  byId("hits").replaceChildren(...cards);
  byId("hits").dataset.signals = state.hits.some((one) => one.signal_url) ? "some" : "none";
  cards.forEach((one) => seen.observe(one));
  if (focused) cards.find((one) => one.dataset.id === focused)?.querySelector(".card-open").focus();
  markVotes();
}

function card(hit) {
  const text = described(hit) || t("no_text");
  const open = () => change({ moment: hit.id }, { quiet: true });
  const picture = el("div", { class: "card-picture" });
  if (hit.thumbnail_url) picture.append(el("img", { src: `${hit.thumbnail_url}?w=320`, alt: "", loading: "lazy", decoding: "async", width: 320, height: 180 }));
  else picture.append(el("span", {}, t("no_picture")));
  if (Number.isFinite(hit.score)) picture.append(el("span", { class: "score", title: t("score") }, hit.score.toFixed(3)));
  const about = [hit.location, ...facts(hit)].filter(Boolean).join(" · ");
  return el(
    "article",
    { class: "card", data: { id: hit.id }, on: { mouseenter: () => tell("hover", hit), mouseleave: () => tell("hover", null) } },
    picture,
    el("h2", {}, el("button", { type: "button", class: "card-open", lang: langOf(text), title: text, on: { click: open, focus: () => tell("hover", hit) } }, el("span", {}, text))),
    el("p", { class: "about", title: hit.id }, about || hit.id),
    el("div", { class: "spark" }),
    el("div", { class: "line" }),
    el(
      "div",
      { class: "actions" },
      el("span", { class: "when", title: moment(hit.timestamp_us) }, moment(hit.timestamp_us, { day: true })),
      el("button", { type: "button", class: "quiet like", title: t("like"), on: { click: () => alike(hit) } }, icon("like"), t("like")),
      iconButton("up", t("vote_up"), () => vote(hit.id, "up"), { "data-vote": "up", "aria-pressed": "false" }),
      iconButton("down", t("vote_down"), () => vote(hit.id, "down"), { "data-vote": "down", "aria-pressed": "false" }),
    ),
  );
}

const langOf = (text) => (/[\u3040-\u30ff]/.test(text) ? "ja" : null);

/** Some of the metadata, what is filtered by first. */
function facts(hit) {
  const asked = new Set([...Object.keys(state.query.choices), ...Object.keys(state.query.ranges)]);
  const telling = new Set(state.config.fields.filter(tells).map((one) => one.name));
  const names = Object.keys(hit.metadata).filter((name) => name !== "location" && telling.has(name) && typeof hit.metadata[name] !== "object");
  names.sort((one, other) => asked.has(other) - asked.has(one));
  return names.slice(0, SHOWN_FIELDS).map((name) => {
    const value = hit.metadata[name];
    return typeof value === "string" ? valueName(value) : `${fieldName(name)} ${valueName(value)}`;
  });
}

/** Search for what is like this moment, and for nothing else. */
export function alike(hit, weight = 1) {
  const part = { kind: "id", value: hit.id, weight };
  if (weight > 0) change({ words: "", not: "", parts: [part], scenario: "", moment: "" });
  else change({ parts: [...state.query.parts, part], scenario: "", moment: "" });
}

export function vote(id, side) {
  const [mine, other] = side === "up" ? [state.up, state.down] : [state.down, state.up];
  other.delete(id);
  if (!mine.delete(id)) mine.add(id);
  tell("votes");
}

function markVotes() {
  for (const node of document.querySelectorAll(".card")) {
    for (const button of node.querySelectorAll("[data-vote]")) {
      button.setAttribute("aria-pressed", String(state[button.dataset.vote].has(node.dataset.id)));
    }
  }
}

function comeIntoView(entries) {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    const hit = state.hits.find((one) => one.id === target.dataset.id);
    if (hit) fill(target, hit);
  }
}

async function fill(node, hit) {
  const later = [sceneTimes(hit).then((times) => drawTimeline(node.querySelector(".line"), hit, times))];
  if (hit.signal_url) later.push(signalOf(hit.id).then((signal) => node.querySelector(".spark").replaceChildren(sparkline(signal))));
  await Promise.allSettled(later); // a card without its line is still a card
}

const signals = new Map();
const MOST_SIGNALS = 200;

/** The signal of a moment; asked for once. */
export function signalOf(id) {
  if (!signals.has(id)) {
    if (signals.size >= MOST_SIGNALS) signals.delete(signals.keys().next().value);
    const coming = getJson(`/signals/${inPath(id)}`);
    coming.catch(() => signals.delete(id));
    signals.set(id, coming);
  }
  return signals.get(id);
}
