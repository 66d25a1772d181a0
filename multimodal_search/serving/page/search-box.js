// The words, the "not" words, and whatever is dropped or pasted: they become parts of the query.

import { Refusal, upload } from "./api.js";
import { byId, icon } from "./dom.js";
import { t } from "./language.js";
import { problem } from "./notices.js";
import { change, on, state } from "./store.js";

const TYPING_PAUSE_MS = 350;
let pause = 0;

export function startSearchBox() {
  const words = byId("words");
  const not = byId("not");
  byId("add-picture").append(icon("picture"));
  // the first letters of a new query are a step that the back button undoes, the next ones belong to it
  let typing = false;
  const take = ({ done }) => {
    clearTimeout(pause);
    const [typed, unwanted] = [words.value.trim(), not.value.trim()];
    const same = typed === state.query.words && unwanted === state.query.not;
    if (!same || done) change({ words: typed, not: unwanted, scenario: same ? state.query.scenario : "" }, { replace: typing });
    typing = !done;
  };
  const soon = () => {
    clearTimeout(pause);
    pause = setTimeout(take, TYPING_PAUSE_MS, { done: false });
  };
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    take({ done: true });
  });
  for (const field of [words, not]) {
    // an unfinished word of an input method is no word yet
    field.addEventListener("input", (event) => (event.isComposing ? clearTimeout(pause) : soon()));
    field.addEventListener("compositionend", soon);
    field.addEventListener("blur", () => (typing = false));
  }
  on("query", () => {
    // what is being typed is not overwritten by an answer to what was typed before
    if (document.activeElement !== words || !words.value.trim()) words.value = state.query.words;
    if (document.activeElement !== not || !not.value.trim()) not.value = state.query.not;
  });
  addEventListener("popstate", () => {
    words.value = state.query.words;
    not.value = state.query.not;
  });
  words.value = state.query.words;
  not.value = state.query.not;
  takeFiles();
}

function takeFiles() {
  const drop = byId("drop");
  byId("picture").addEventListener("change", (event) => {
    addFiles(event.target.files);
    event.target.value = "";
  });
  let inside = 0; // dragenter and dragleave come for every element that is crossed
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    inside += 1;
    drop.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (carriesFiles(event) && --inside <= 0) hide();
  });
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    hide();
    addFiles(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) addFiles(event.clipboardData.files);
  });
  const hide = () => {
    inside = 0;
    drop.hidden = true;
  };
}

async function addFiles(files) {
  for (const file of files) {
    if (!file.type.startsWith("image/") && !/\.(npy|csv)$/i.test(file.name)) {
      problem(new Refusal(0, t("bad_file", { name: file.name })));
      continue;
    }
    try {
      const { upload_id: value, kind } = await upload(file);
      if (kind === "image") pictures.set(value, URL.createObjectURL(file));
      change({ parts: [...state.query.parts, { kind, value, weight: 1 }], scenario: "" });
    } catch (error) {
      problem(error);
    }
  }
}

/** Pictures that were dropped since the page was opened: upload id -> address. */
export const pictures = new Map();
