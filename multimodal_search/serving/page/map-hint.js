// The picture of the moment that is pointed at on the map.

import { inPath } from "./api.js";
import { el } from "./dom.js";

const [WIDTH_PX, HEIGHT_PX, AWAY_PX] = [192, 150, 14];

export class MapHint {
  constructor(stage) {
    this.stage = stage;
    this.picture = el("img", { alt: "", width: 192, height: 108 });
    this.name = el("strong");
    this.value = el("span");
    this.node = el("div", { class: "map-hint", hidden: true }, this.picture, this.name, this.value);
    this.picture.addEventListener("error", () => (this.picture.hidden = true));
    stage.append(this.node);
  }

  /** Beside (x, y), in pixels of the stage, and inside it. */
  show(id, value, x, y) {
    if (this.shown !== id) {
      this.shown = id;
      this.picture.hidden = false;
      this.picture.src = `/thumbnails/${inPath(id)}?w=320`;
      this.name.textContent = id;
    }
    this.value.textContent = value;
    const { clientWidth } = this.stage;
    this.node.style.left = `${x + AWAY_PX + WIDTH_PX > clientWidth ? Math.max(0, x - AWAY_PX - WIDTH_PX) : x + AWAY_PX}px`;
    this.node.style.top = `${Math.max(0, y - HEIGHT_PX / 2)}px`;
    this.node.hidden = false;
  }

  hide() {
    this.shown = null;
    this.node.hidden = true;
  }
}
