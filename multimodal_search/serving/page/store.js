// What the page knows, and who is told when it changes. The query lives in the address bar.

import { emptyQuery, fromAddress, toAddress } from "./query.js";

export const state = {
  query: fromAddress(location.search),
  config: null, // of GET /config
  hits: [],
  up: new Set(), // ids that were voted for, and against
  down: new Set(),
  selected: null, // ids of what is selected on the map, or null
};

const listeners = {};

/** Be told: "query", "hits", "votes", "language", "theme", "scenarios". */
export function on(event, listener) {
  (listeners[event] ??= []).push(listener);
}

export function tell(event, detail) {
  for (const one of listeners[event] ?? []) one(detail);
}

/**
 * Change the query. A step that the back button should undo is pushed; `replace` is for what changes all the time.
 * `quiet` changes are of the view alone: nothing is searched again.
 */
export function change(patch, { replace = false, quiet = false } = {}) {
  const before = state.query;
  state.query = { ...before, ...patch };
  const address = toAddress(state.query);
  if (address !== toAddress(before)) {
    const target = address ? `?${address}` : location.pathname;
    if (replace) history.replaceState(null, "", target);
    else history.pushState(null, "", target);
  }
  tell("query", { quiet });
}

/** Forget the query; the map keeps its colours. */
export function clear() {
  change({ ...emptyQuery(), colour: state.query.colour });
}

addEventListener("popstate", () => {
  const before = toAddress({ ...state.query, moment: "", colour: null });
  state.query = fromAddress(location.search);
  tell("query", { quiet: before === toAddress({ ...state.query, moment: "", colour: null }) });
});
