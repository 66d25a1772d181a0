// Takes the hits, or what is selected on the map, out as a file.

import { post } from "./api.js";
import { el } from "./dom.js";
import { menu } from "./filters.js";
import { t } from "./language.js";
import { problem } from "./notices.js";
import { narrows, toRequest } from "./query.js";
import { on, state } from "./store.js";

const FORMATS = { csv: "csv", json: "json", parquet: "parquet", paths: "txt" };

export function startExport() {
  const node = menu(t("export"));
  node.id = "export";
  const draw = () => fill(node);
  on("hits", draw);
  on("language", draw);
  draw();
  return node;
}

function fill(node) {
  node.querySelector("summary").textContent = t("export");
  const chosen = () => node.querySelector("input:checked")?.value ?? "hits";
  const radio = (value, label) => el("label", {}, el("input", { type: "radio", name: "what", value, checked: value === "hits" }), el("span", {}, label));
  const buttons = Object.keys(FORMATS).map((format) =>
    el("button", { type: "button", data: { format }, on: { click: () => save(format, chosen()) } }, t(`export_${format}`)));
  node.querySelector(".panel").replaceChildren(
    el("fieldset", { class: "choices" },
      el("legend", {}, t("export_what")),
      radio("hits", t("export_hits", { n: state.hits.length })),
      state.selected ? radio("selection", t("export_selection", { n: state.selected.length })) : ""),
    el("div", { class: "formats" }, buttons));
}

async function save(format, what) {
  const searched = narrows(state.query, state.config.fields) && !state.query.scenario;
  const ids = what === "selection" ? state.selected : state.hits.map((one) => one.id);
  const body = what === "hits" && searched ? toRequest(state.query, state.config.fields, state.selected) : { ids };
  try {
    const response = await post(`/export?format=${format}`, body);
    const address = URL.createObjectURL(await response.blob());
    const link = el("a", { href: address, download: `moments.${FORMATS[format]}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (error) {
    problem(error);
  }
}
