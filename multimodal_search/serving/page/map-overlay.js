// What lies over the points: rings around the hits, names of clusters, outlines.

const LABEL_PX = 12;
const MOST_LABELS = 16;

/** Draw it anew; places in the map's units. */
export function drawOver(canvas, view, { hits, lit, clusters, area, outline }) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  for (const one of [area, outline]) if (one.length) polygon(context, view, one, colour("--accent"));
  const placed = hits.filter((one) => one.x !== null);
  placed.reverse().forEach((one) => ring(context, view, one, 5, 2, colour("--ink"), colour("--surface")));
  names(context, view, clusters, colour("--ink"), colour("--surface"));
  if (lit && lit.x !== null) ring(context, view, lit, 9, 3, colour("--accent"), colour("--surface"));
}

function polygon(context, view, corners, colour) {
  context.beginPath();
  for (let place = 0; place < corners.length; place += 2) context.lineTo(...view.pixel(corners[place], corners[place + 1]));
  context.closePath();
  context.globalAlpha = 0.1;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  context.strokeStyle = colour;
  context.stroke();
}

function ring(context, view, { x, y }, radius, width, colour, halo) {
  const [across, down] = view.pixel(x, y);
  for (const [line, shade] of [[width + 2, halo], [width, colour]]) {
    context.beginPath();
    context.arc(across, down, radius, 0, 2 * Math.PI);
    context.lineWidth = line;
    context.strokeStyle = shade;
    context.stroke();
  }
}

/** Names of the largest clusters that do not cover each other. */
function names(context, view, clusters, ink, halo) {
  context.font = `600 ${LABEL_PX}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const taken = [];
  for (const { name, x, y } of clusters) {
    if (taken.length >= MOST_LABELS) break;
    const [across, down] = view.pixel(x, y);
    const half = context.measureText(name).width / 2 + 4;
    const box = [across - half, down - LABEL_PX, across + half, down + LABEL_PX];
    const fits = box[0] > 0 && box[2] < context.canvas.clientWidth && box[1] > 0 && box[3] < context.canvas.clientHeight;
    if (!fits || taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
    taken.push(box);
    context.lineWidth = 4;
    context.strokeStyle = halo;
    context.strokeText(name, across, down);
    context.fillStyle = ink;
    context.fillText(name, across, down);
  }
}
