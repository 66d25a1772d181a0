// A scene in time: where in it a moment lies, and the moments beside it.

import { getJson, inPath } from "./api.js";
import { el } from "./dom.js";
import { described, moment, number, t } from "./language.js";
import { change } from "./store.js";

const MICROSECONDS = 1e6;
const MOST_TICKS = 120;
const scenes = new Map(); // scene id -> promise of [first, last, times], microseconds

/** First, last and all times of a moment's scene; asked for once a scene. */
export function sceneTimes(hit) {
  if (!scenes.has(hit.scene_id)) {
    const coming = getJson(`/moments/${inPath(hit.id)}`).then(({ timeline }) => timesOf(timeline));
    coming.catch(() => scenes.delete(hit.scene_id));
    scenes.set(hit.scene_id, coming);
  }
  return scenes.get(hit.scene_id);
}

function timesOf(timeline) {
  const times = timeline.map((one) => one.timestamp_us).filter((one) => one !== null);
  return times.length ? [Math.min(...times), Math.max(...times), times] : null;
}

/** A thin line of the whole scene; ticks are its moments, the thick stretch is this one. */
export function drawTimeline(node, hit, times) {
  node.replaceChildren();
  if (!times || hit.timestamp_us === null) return;
  const [first, last, all] = times;
  const length = Math.max(last - first, 1);
  const place = (us) => (last === first ? 50 : (100 * (us - first)) / length);
  const start = hit.start_us ?? hit.timestamp_us;
  const end = hit.end_us ?? hit.timestamp_us;
  const seconds = (us) => number((us - first) / MICROSECONDS, 1);
  const label = t("place_in_scene", { start: seconds(start), end: seconds(end), length: seconds(last) });
  const every = Math.ceil(all.length / MOST_TICKS);
  for (const [number_, us] of all.entries()) {
    if (number_ % every) continue;
    const tick = el("i", { class: "tick" });
    tick.style.left = `${place(us)}%`;
    node.append(tick);
  }
  const mark = el("i", { class: "mark" });
  mark.style.left = `${place(start)}%`;
  mark.style.width = `${Math.max(0, place(end) - place(start))}%`;
  node.append(mark);
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", label);
  node.title = label;
}

/** The scene's moments as pictures beside each other, this one marked; a click opens another. */
export function filmstrip(hit, timeline) {
  const frames = new Set([hit.id, ...(hit.frames ?? [])]);
  const buttons = timeline.map((one) => {
    const here = one.id === hit.id;
    const name = one.timestamp_us === null ? one.id : t("moment_at", { time: moment(one.timestamp_us) });
    return el(
      "button",
      {
        type: "button", class: "frame", "aria-label": name, title: name, "aria-current": here ? "true" : null,
        data: { of: frames.has(one.id) ? "this" : "other" },
        on: { click: () => here || change({ moment: one.id }, { quiet: true }) },
      },
      one.thumbnail_url
        ? el("img", { src: `${one.thumbnail_url}?w=160`, alt: "", loading: "lazy", width: 96, height: 54 })
        : el("span", {}, described(one) || "·"),
    );
  });
  return el("div", { class: "film", tabindex: 0, role: "group", "aria-label": t("timeline") }, buttons);
}
