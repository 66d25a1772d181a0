// The map beside the hits: every moment by its place, coloured by a field, hits lit, an outline that filters.

import { byId, el, iconButton } from "./dom.js";
import { fieldsInOrder, kindFields } from "./fields.js";
import { fieldName, moment, number, t } from "./language.js";
import { colouring } from "./map-colours.js";
import { loadClusters, loadColumn, loadIds, loadPlaces } from "./map-data.js";
import { drawOver } from "./map-overlay.js";
import { drawLegend } from "./map-legend.js";
import { Pace } from "./map-pace.js";
import { inside, Picker, simplified } from "./map-pick.js";
import { painter } from "./map-points.js";
import { MapHint } from "./map-hint.js";
import { View } from "./map-view.js";
import { problem } from "./notices.js";
import { change, on, state } from "./store.js";

const REACH_PX = 9;
const CLUSTERS = "cluster";

/** The panel; resolves when its points are drawn. */
export async function startMap() {
  const panel = byId("map");
  if (!state.config.map) {
    panel.replaceChildren(el("p", { class: "hint" }, t("map_none")));
    return;
  }
  const map = new MapPanel(panel);
  await map.load();
}

/** Numbers of the points inside the area of the query, or null; the map's places are waited for. */
export async function selectedIds() {
  const { area } = state.query;
  if (!area.length || !state.config.map) return null;
  const [{ places }, ids] = await Promise.all([thePlaces(), loadIds()]);
  return inside(places, area).map((point) => ids[point]);
}

let coming = null;
const thePlaces = () => (coming ??= loadPlaces());

class MapPanel {
  constructor(panel) {
    this.points = el("canvas", { class: "points", "aria-hidden": "true" });
    this.over = el("canvas", { class: "over", tabindex: 0, role: "application" });
    this.legend = el("div", { class: "legend" });
    this.colourField = el("select", { id: "map-colour", on: { change: () => change({ colour: this.colourField.value }, { replace: true, quiet: true }) } });
    this.colourLabel = el("label", { for: "map-colour" });
    this.lasso = iconButton("lasso", "", () => this.setDrawing(!this.view.drawing), { "aria-pressed": "false", id: "lasso" });
    this.fitButton = iconButton("fit", "", () => this.view.fit());
    this.stage = el("div", { class: "stage" }, this.points, this.over);
    panel.replaceChildren(el("div", { class: "map-bar" }, this.colourLabel, this.colourField, el("span", { class: "grow" }), this.lasso, this.fitButton), this.stage, this.legend);
    this.hint = new MapHint(this.stage);
    this.data = null;
    this.clusters = [];
    this.lit = null; // an id of a hit that is pointed at
    this.pace = new Pace(() => this.redraw());
    this.view = new View(this.over, {
      moved: () => {
        this.pace.moved();
        this.redraw();
      },
      hovered: (x, y) => this.hover(x, y),
      clicked: (x, y) => this.click(x, y),
      outlined: (corners) => {
        this.setDrawing(false);
        change({ area: simplified(corners) });
      },
    });
  }

  async load() {
    this.words();
    try {
      this.data = await thePlaces();
    } catch (error) {
      problem(error);
      return;
    }
    this.painter = painter(this.points);
    this.painter.set(this.data.places);
    this.view.bounds = this.data.bounds;
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.points.addEventListener("redraw", () => this.redraw());
    on("hits", () => this.redraw());
    on("selected", () => this.showSelected());
    on("hover", (hit) => {
      this.lit = hit;
      this.redraw();
    });
    on("query", () => this.colourBy());
    on("language", () => {
      this.words();
      this.recolour();
    });
    document.addEventListener("theme", () => this.recolour());
    await this.colourBy();
    this.showSelected();
    this.resize();
    this.clusters = await loadClusters().catch(() => []);
    this.redraw();
  }

  words() {
    this.over.setAttribute("aria-label", t("map_label", { n: state.config.moments }));
    this.colourLabel.textContent = t("map_colour");
    const names = [...new Set([...fieldsInOrder().map((one) => one.name), CLUSTERS])];
    this.colourField.replaceChildren(el("option", { value: "" }, t("map_one_colour")), ...names.map((one) => el("option", { value: one }, fieldName(one))));
    this.colourField.value = this.field();
    for (const [button, name] of [[this.lasso, "map_lasso"], [this.fitButton, "map_fit"]]) {
      button.title = t(name);
      button.setAttribute("aria-label", t(name));
    }
  }

  /** What the address asks for, or the first field with few kinds. */
  field() {
    if (state.query.colour !== null) return state.query.colour;
    return kindFields()[0]?.name ?? CLUSTERS;
  }

  async colourBy() {
    const field = this.field();
    if (field === this.shownField) return;
    this.shownField = field;
    this.colourField.value = field;
    const column = field ? await loadColumn(field).catch(() => null) : null;
    if (field !== this.shownField) return;
    this.column = column;
    this.recolour();
  }

  recolour() {
    const theme = document.documentElement.dataset.theme;
    this.colours = colouring(this.column, this.data.count, theme);
    this.painter.colour(this.colours.codes, this.colours.palette);
    drawLegend(this.legend, this.colours, this.column && this.shownField, theme, (value) => this.amount(value));
    this.redraw();
  }

  resize() {
    const { clientWidth, clientHeight } = this.stage;
    if (!clientWidth || !clientHeight) return; // the phone shows the hits
    for (const canvas of [this.points, this.over]) {
      canvas.width = clientWidth * devicePixelRatio;
      canvas.height = clientHeight * devicePixelRatio;
    }
    if (this.fitted) this.redraw();
    else this.view.fit();
    this.fitted = true;
  }

  setDrawing(drawing) {
    this.view.drawing = drawing;
    this.lasso.setAttribute("aria-pressed", String(drawing));
    this.over.classList.toggle("drawing", drawing);
  }

  async showSelected() {
    const { area } = state.query;
    if (area.length) {
      const lit = new Uint8Array(this.data.count);
      for (const point of inside(this.data.places, area)) lit[point] = 1;
      this.painter.light(lit);
    } else this.painter.light(null);
    this.redraw();
  }

  redraw() {
    this.asked ??= requestAnimationFrame((now) => {
      this.asked = null;
      if (!this.colours || !this.fitted) return;
      const { x, y, zoom } = this.view;
      this.painter.draw({ x, y, zoom: zoom * devicePixelRatio, size: this.size() * devicePixelRatio, every: this.pace.frame(now) });
      drawOver(this.over, this.view, { hits: state.hits, lit: this.lit, clusters: this.clusters, area: state.query.area, outline: this.view.outline });
      if (!this.marked) performance.mark("map"); // benchmarks/page.py asks when it was there
      this.marked = true;
    });
  }

  /** Points grow slowly as one comes nearer; many are small. */
  size() {
    const alone = Math.max(1.6, Math.min(9, 170 / Math.sqrt(this.data.count) + 1.2));
    return Math.min(16, alone * (this.view.zoom / this.view.least) ** 0.35);
  }

  near(across, down) {
    this.picker ??= new Picker(this.data.places, this.data.bounds);
    const [x, y] = this.view.place(across, down);
    return this.picker.nearest(x, y, (REACH_PX + this.size() / 2) / this.view.zoom);
  }

  async hover(across, down) {
    const point = across === null || !this.data ? -1 : this.near(across, down);
    this.over.classList.toggle("pointing", point >= 0);
    if (point < 0) return this.hint.hide();
    const ids = await loadIds();
    const [x, y] = this.view.pixel(this.data.places[2 * point], this.data.places[2 * point + 1]);
    return this.hint.show(ids[point], this.valueOf(point), x, y);
  }

  /** Times come as seconds after the first one. */
  amount(value) {
    const field = state.config.fields.find((one) => one.name === this.shownField);
    if (Number.isNaN(value)) return t("unknown");
    return field?.type === "time" ? moment(field.min + value * 1e6) : number(value);
  }

  valueOf(point) {
    if (!this.column) return "";
    if (this.column.amounts) return `${fieldName(this.shownField)} ${this.amount(this.column.amounts[point])}`;
    return this.column.names[this.column.codes[point]] ?? t("unknown");
  }

  async click(across, down) {
    const point = this.data ? this.near(across, down) : -1;
    if (point >= 0) change({ moment: (await loadIds())[point] }, { quiet: true });
  }
}
