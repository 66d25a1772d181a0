// The page by keyboard, and a list of its keys.

import { byId, el } from "./dom.js";
import { alike, vote } from "./hits.js";
import { t } from "./language.js";
import { step } from "./moment.js";
import { state } from "./store.js";

const LIST = [["/", "key_search"], ["j k", "key_hits"], ["Enter", "key_open"], ["u d", "key_votes"], ["l", "key_like"], ["m", "key_map"], ["Esc", "key_close"]];

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.matches?.("input:not([type=checkbox], [type=radio], [type=range]), select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (act(event)) event.preventDefault();
  });
}

function act({ key }) {
  const dialog = byId("moment");
  if (byId("login").open || byId("keys").open) return false;
  const id = dialog.open ? state.query.moment : document.activeElement?.closest?.(".card")?.dataset.id;
  if (key === "j" || key === "k") return move(key === "j" ? 1 : -1, dialog.open);
  if (id && (key === "u" || key === "d")) return done(vote(id, key === "u" ? "up" : "down"));
  if (id && key === "l") return done(alike({ id }));
  if (dialog.open) return false;
  if (key === "/") return done(byId("words").select());
  if (key === "m") return done(byId("map").querySelector("[tabindex]")?.focus());
  if (key === "?") return done(showKeys());
  return false;
}

const done = () => true;

function move(by, open) {
  if (open) return done(step(by));
  const cards = [...document.querySelectorAll(".card")];
  const place = cards.indexOf(document.activeElement?.closest?.(".card"));
  const next = cards[place < 0 ? 0 : place + by];
  next?.querySelector(".card-open").focus();
  return true;
}

export function showKeys() {
  const dialog = byId("keys");
  const rows = LIST.map(([keys, name]) => [el("dt", {}, keys.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, t(name))]);
  dialog.replaceChildren(el("h2", { id: "keys-title" }, t("keys")), el("dl", { class: "facts" }, rows),
    el("form", { method: "dialog" }, el("button", { class: "primary" }, t("close"))));
  dialog.showModal();
}
