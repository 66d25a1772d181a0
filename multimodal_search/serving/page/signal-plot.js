// Signals as lines: one small for a card, and all channels above each other with a stretch to be dragged.

import { el, svg } from "./dom.js";
import { number, t } from "./language.js";

const [WIDTH, ROW, GAP] = [1000, 48, 10]; // of the drawing's own coordinates; rows keep their height in pixels
const SPARK = [240, 28];
const MOST_POINTS = 600; // of a line; more are drawn by their lowest and highest
const SHORTEST_SECONDS = 0.05;

/** One channel in a line: speed where there is one. */
export function sparkline({ channels, seconds, values }) {
  const channel = Math.max(0, channels.findIndex((one) => /speed|velocity/i.test(one.name)));
  const [width, height] = SPARK;
  const { path, low, high } = line(seconds, values, channel, width, height, 2);
  const { name, unit } = channels[channel] ?? { name: "", unit: "" };
  const label = `${name}: ${number(low)} – ${number(high)} ${unit}`;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  drawing.append(svg("title", {}, label), svg("path", { d: path, class: "line-of-signal" }));
  return drawing;
}

/** A path through one channel; where values are missing it has a gap. */
function line(seconds, values, channel, width, height, margin) {
  const column = values.map((row) => row[channel]);
  const known = column.filter((one) => one !== null && one !== undefined);
  let low = known.reduce((a, b) => Math.min(a, b), Infinity);
  let high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!known.length) [low, high] = [0, 0];
  const [first, last] = [seconds[0] ?? 0, seconds[seconds.length - 1] ?? 1];
  const across = (place) => (((seconds[place] - first) / (last - first || 1)) * width).toFixed(1);
  const down = (value) => (high === low ? height / 2 : margin + (1 - (value - low) / (high - low)) * (height - 2 * margin)).toFixed(1);
  let path = "";
  let broken = true;
  for (const place of thinned(column)) {
    const value = column[place];
    if (value === null || value === undefined) broken = true;
    else {
      path += `${broken ? "M" : "L"}${across(place)} ${down(value)}`;
      broken = false;
    }
  }
  return { path, low, high };
}

/** Places of a column that are worth drawing: all, or the lowest and highest of each stretch. */
function thinned(column) {
  if (column.length <= MOST_POINTS) return column.keys();
  const size = Math.ceil((2 * column.length) / MOST_POINTS);
  const places = [];
  for (let start = 0; start < column.length; start += size) {
    let [lowest, highest] = [start, start];
    for (let place = start; place < Math.min(start + size, column.length); place += 1) {
      if (column[place] < column[lowest]) lowest = place;
      if (column[place] > column[highest]) highest = place;
    }
    places.push(...new Set([Math.min(lowest, highest), Math.max(lowest, highest)]));
  }
  return places;
}

/** All channels, and a stretch that is picked by dragging or by its two numbers; `search(start, end)` in seconds. */
export function stretchPlot({ channels, seconds, values }, search) {
  const [first, last] = [seconds[0] ?? 0, seconds[seconds.length - 1] ?? 0];
  const fields = ["stretch_from", "stretch_to"].map((name) =>
    el("input", { type: "number", min: first, max: last, step: 0.1, "aria-label": t(name), on: { input: () => pick(...fields.map((one) => Number(one.value)), false) } }));
  const go = el("button", { type: "button", class: "primary", disabled: true, on: { click: () => search(...picked) } }, t("search_stretch"));
  const band = el("div", { class: "band", hidden: true });
  const rows = channels.map((one, place) => row(one, place, seconds, values));
  const plot = el("div", { class: "plot" }, rows.map((one) => one.drawing), band);
  let picked = null;
  const share = (at) => (100 * (at - first)) / (last - first || 1);

  function pick(one, other, write = true) {
    const [start, end] = [Math.max(first, Math.min(one, other)), Math.min(last, Math.max(one, other))].map((at) => Math.round(at * 100) / 100);
    picked = end - start >= SHORTEST_SECONDS ? [start, end] : null;
    band.hidden = !picked;
    go.disabled = !picked;
    if (picked) {
      band.style.left = `${share(start)}%`;
      band.style.width = `${share(end) - share(start)}%`;
    }
    if (write) fields.forEach((field, side) => (field.value = picked ? picked[side] : ""));
  }
  const at = (event) => {
    const box = plot.getBoundingClientRect();
    return first + ((event.clientX - box.left) / box.width) * (last - first);
  };
  let begun = null;
  plot.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    begun = at(event);
    plot.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  plot.addEventListener("pointermove", (event) => begun !== null && pick(begun, at(event)));
  for (const end of ["pointerup", "pointercancel"]) plot.addEventListener(end, () => (begun = null));
  const axis = el("div", { class: "axis" }, [0, 0.25, 0.5, 0.75, 1].map((part) => el("span", {}, `${number(first + part * (last - first), 1)} s`)));
  return el("div", { class: "signals" }, el("div", { class: "names" }, rows.map((one) => one.about)), plot, axis, el("div", { class: "stretch" }, fields[0], el("span", {}, "–"), fields[1], el("span", {}, "s"), go, el("span", { class: "hint" }, t("signal_hint"))));
}

function row({ name, unit }, channel, seconds, values) {
  const { path, low, high } = line(seconds, values, channel, WIDTH, ROW, GAP / 2);
  const label = `${name}: ${number(low)} – ${number(high)} ${unit}`;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${ROW}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  drawing.append(svg("path", { d: path, class: "line-of-signal" }));
  const spoken = (unit ? name.replace(/_[^_]*$/, "") : name).replace(/_/g, " ");
  const about = el("div", { title: label }, el("span", { class: "row-name" }, spoken, unit ? el("small", {}, ` ${unit}`) : ""),
    el("span", { class: "row-range" }, el("span", {}, number(high)), el("span", {}, number(low))));
  return { drawing, about };
}
