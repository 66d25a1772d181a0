// Where the map is looked at: pan, zoom, pinch, keys, and the outline that is drawn around points.

const [ZOOM_STEP, PAN_PX, CLICK_PX] = [1.25, 60, 5];
const MARGIN = 0.92; // of the canvas that the whole map takes
const OUTLINE_STEP_PX = 4;

/** A view of a canvas; tells `moved()`, `hovered(x, y)` or `hovered(null)`, `clicked(x, y)`, `outlined(corners)` in map units. */
export class View {
  constructor(canvas, tell) {
    Object.assign(this, { canvas, tell, x: 0, y: 0, zoom: 1, bounds: [0, 0, 1, 1], drawing: false, outline: [] });
    this.fingers = new Map();
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.fingers.size || tell.hovered(null));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomAt(event.offsetX, event.offsetY, ZOOM_STEP ** (-event.deltaY / (event.deltaMode ? 3 : 100)));
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => this.zoomAt(event.offsetX, event.offsetY, ZOOM_STEP ** 3));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** CSS pixels -> the map's units. */
  place(across, down) {
    const { clientWidth, clientHeight } = this.canvas;
    return [this.x + (across - clientWidth / 2) / this.zoom, this.y - (down - clientHeight / 2) / this.zoom];
  }

  /** The map's units -> CSS pixels. */
  pixel(x, y) {
    const { clientWidth, clientHeight } = this.canvas;
    return [(x - this.x) * this.zoom + clientWidth / 2, clientHeight / 2 - (y - this.y) * this.zoom];
  }

  /** Show all. */
  fit() {
    const [left, bottom, right, top] = this.bounds;
    const { clientWidth, clientHeight } = this.canvas;
    this.x = (left + right) / 2;
    this.y = (bottom + top) / 2;
    this.least = MARGIN * Math.min(clientWidth / (right - left || 1), clientHeight / (top - bottom || 1)) || 1;
    this.zoom = this.least;
    this.tell.moved();
  }

  zoomAt(across, down, factor) {
    const [x, y] = this.place(across, down);
    const zoom = Math.max(this.least / 4, Math.min(this.least * 4000, this.zoom * factor));
    this.x = x - (x - this.x) * (this.zoom / zoom);
    this.y = y - (y - this.y) * (this.zoom / zoom);
    this.zoom = zoom;
    this.tell.moved();
  }

  pan(across, down) {
    this.x -= across / this.zoom;
    this.y += down / this.zoom;
    this.tell.moved();
  }

  down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.begun = [event.offsetX, event.offsetY];
    this.dragged = this.fingers.size > 1;
    this.outlining = this.fingers.size === 1 && (this.drawing || event.shiftKey);
    this.outline = this.outlining ? this.place(event.offsetX, event.offsetY) : [];
    this.tell.hovered(null);
  }

  move(event) {
    const { offsetX, offsetY, pointerId } = event;
    const last = this.fingers.get(pointerId);
    if (!last) return event.pointerType === "mouse" && this.tell.hovered(offsetX, offsetY);
    if (Math.hypot(offsetX - this.begun[0], offsetY - this.begun[1]) > CLICK_PX) this.dragged = true;
    if (this.outlining) {
      if (Math.hypot(offsetX - last[0], offsetY - last[1]) < OUTLINE_STEP_PX) return undefined;
      this.outline.push(...this.place(offsetX, offsetY));
      this.tell.moved();
    } else if (this.fingers.size === 2) this.pinch(pointerId, last, [offsetX, offsetY]);
    else if (this.dragged) this.pan(offsetX - last[0], offsetY - last[1]);
    else return undefined;
    this.fingers.set(pointerId, [offsetX, offsetY]);
    return undefined;
  }

  pinch(moving, last, now) {
    const [, rest] = [...this.fingers].find(([finger]) => finger !== moving);
    const [before, after] = [last, now].map((one) => Math.hypot(one[0] - rest[0], one[1] - rest[1]));
    this.pan((now[0] - last[0]) / 2, (now[1] - last[1]) / 2);
    this.zoomAt((now[0] + rest[0]) / 2, (now[1] + rest[1]) / 2, after / (before || 1));
  }

  up(event) {
    if (!this.fingers.delete(event.pointerId)) return;
    if (event.type === "pointercancel") this.outlining = false;
    else if (this.outlining && this.outline.length >= 6) this.tell.outlined(this.outline);
    else if (!this.dragged) this.tell.clicked(event.offsetX, event.offsetY);
    this.outlining = false;
    this.outline = [];
    this.tell.moved();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { clientWidth, clientHeight } = this.canvas;
    const zoom = (factor) => this.zoomAt(clientWidth / 2, clientHeight / 2, factor);
    const keys = {
      ArrowLeft: () => this.pan(PAN_PX, 0), ArrowRight: () => this.pan(-PAN_PX, 0),
      ArrowUp: () => this.pan(0, PAN_PX), ArrowDown: () => this.pan(0, -PAN_PX),
      "+": () => zoom(ZOOM_STEP), "=": () => zoom(ZOOM_STEP), "-": () => zoom(1 / ZOOM_STEP), 0: () => this.fit(),
      Enter: () => this.tell.clicked(clientWidth / 2, clientHeight / 2),
    };
    if (!keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  }
}
