// Parts that the charts share: markers, axes, labels that do not collide, the tooltip.

const SHAPES = {
  circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
  square: (r) => polygon([[-0.88, -0.88], [0.88, -0.88], [0.88, 0.88], [-0.88, 0.88]], r),
  diamond: (r) => polygon([[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]], r),
  up: (r) => polygon([[0, -1.2], [1.15, 0.85], [-1.15, 0.85]], r),
  down: (r) => polygon([[0, 1.2], [1.15, -0.85], [-1.15, -0.85]], r),
  plus: (r) => polygon([[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]], r),
  star: (r) => polygon(Array.from({ length: 10 }, (_, i) => [(i % 2 ? 0.6 : 1.4) * Math.sin((i * Math.PI) / 5), (i % 2 ? -0.6 : -1.4) * Math.cos((i * Math.PI) / 5)]), r),
  cross: (r) => polygon([[0, -0.55], [0.75, -1.25], [1.25, -0.75], [0.55, 0], [1.25, 0.75], [0.75, 1.25], [0, 0.55], [-0.75, 1.25], [-1.25, 0.75], [-0.55, 0], [-1.25, -0.75], [-0.75, -1.25]], r),
};

const polygon = (corners, r) => `M${corners.map(([x, y]) => `${(x * r).toFixed(2)},${(y * r).toFixed(2)}`).join("L")}z`;
const look = (name) => `h${SERIES.get(name).hue} v${SERIES.get(name).variant}`;

function marker(name, x, y, r = 4) {
  return g("path", { class: "marker", d: SHAPES[SERIES.get(name).shape](r), transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` });
}

/** The line and marker that stand for a series in tables, legend and tooltip. */
function swatch(name) {
  const line = g("line", { class: "curve", x1: -13, x2: 13, y1: 0, y2: 0 });
  const box = { width: 28, height: 16, viewBox: "-14 -8 28 16", preserveAspectRatio: "xMidYMid slice" };
  return g("svg", { class: look(name), ...box, "aria-hidden": "true" }, line, marker(name, 0, 0, 4.2));
}

const linear = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
const logarithmic = (low, high, from, to) => {
  const scale = linear(Math.log(low), Math.log(high), from, to);
  return (value) => scale(Math.log(value));
};

/** Round values inside [low, high], about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) || rough;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

/** 1, 2, 5 times the powers of ten inside [low, high]; only the powers when that would be too many. */
function logTicks(low, high, most) {
  const steps = (factors) => {
    const found = [];
    for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) {
      for (const factor of factors) found.push(Number((factor * 10 ** k).toPrecision(6)));
    }
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  };
  const choices = [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].map(steps);
  return choices.find((found) => found.length <= most) || choices[3];
}

const tickText = (value) => String(Number(value.toPrecision(6))).replace("-", "−");

/** Grid, numbers and titles. `frame`: {left, right, top, bottom, width, height} in pixels. */
function axes(frame, x, y, xs, ys, xTitle, yTitle, yText = tickText) {
  const { left, right, top, bottom } = frame;
  const part = g("g", { "aria-hidden": "true" });
  for (const value of ys) {
    part.append(g("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }));
    part.append(g("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, yText(value)));
  }
  for (const value of xs) {
    part.append(g("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: bottom }));
    part.append(g("text", { x: x(value), y: bottom + 18, "text-anchor": "middle" }, tickText(value)));
  }
  part.append(g("line", { class: "base", x1: left, x2: right, y1: bottom, y2: bottom }));
  part.append(g("text", { class: "axis", x: right, y: bottom + 36, "text-anchor": "end" }, xTitle));
  part.append(g("text", { class: "axis", x: 0, y: 13 }, yTitle));
  return part;
}

const ruler = document.createElement("canvas").getContext("2d");

/** Width of a label in pixels, near enough. */
function textWidth(text) {
  ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

/** A name that fits beside a chart; the legend has all of it. */
const shortName = (name) => (name.length > 26 ? `${name.slice(0, 25)}…` : name);

/** Move labels apart that want nearly the same height: [{y}, ...] -> the same with `at`. */
function spread(labels, gap, top, bottom) {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  sorted.forEach((one, i) => (one.at = Math.max(one.y, i ? sorted[i - 1].at + gap : top)));
  for (let i = sorted.length - 1, limit = bottom; i >= 0; limit = sorted[i].at - gap, i--) sorted[i].at = Math.min(sorted[i].at, limit);
  return sorted;
}

/** Place a label beside each point where it covers least: dots, other labels, the front, the border. */
function placeLabels(dots, frame, front) {
  const boxes = dots.map((dot) => ({ x: dot.x - 6, y: dot.y - 6, w: 12, h: 12 }));
  front.slice(1).forEach((b, i) => {
    const a = front[i];
    const count = Math.ceil(Math.hypot(b.x - a.x, b.y - a.y) / 6);
    for (let k = 1; k < count; k++) boxes.push({ x: a.x + ((b.x - a.x) * k) / count - 2, y: a.y + ((b.y - a.y) * k) / count - 2, w: 4, h: 4 });
  });
  const overlap = (a, b) =>
    Math.max(0, Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x)) * Math.max(0, Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y));
  const placed = [];
  for (const dot of [...dots].sort((a, b) => a.y - b.y)) {
    const w = textWidth(shortName(dot.name)) + 2;
    const spots = [];
    for (const reach of [9, 16, 26]) {
      spots.push([reach, -7], [-reach - w, -7], [-w / 2, -reach - 13], [-w / 2, reach - 1]);
      spots.push([reach - 2, -reach - 8], [reach - 2, reach - 5], [-reach - w + 2, -reach - 8], [-reach - w + 2, reach - 5]);
    }
    let best = null;
    spots.forEach(([dx, dy], order) => {
      const box = { x: dot.x + dx, y: dot.y + dy, w, h: 14 };
      let cost = order * 1.5;
      for (const other of [...boxes, ...placed]) cost += 3 * overlap(box, other);
      const outside = Math.max(0, frame.left - box.x) + Math.max(0, box.x + w - frame.width) + Math.max(0, frame.top - box.y) + Math.max(0, box.y + 14 - frame.bottom);
      cost += outside * 60;
      if (!best || cost < best.cost) best = { cost, box, far: order >= 8 };
    });
    placed.push(best.box);
    dot.label = best;
  }
}

/** Show the tooltip near a point of the window. `lines` are strings or nodes. */
function showTip(clientX, clientY, name, lines) {
  const tip = byId("tip");
  set(tip, h("strong", {}, swatch(name), name), lines.filter(Boolean).map((line) => h("span", {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const x = clientX + 16 + width > innerWidth - 8 ? clientX - width - 16 : clientX + 16;
  const y = clientY - height - 12 < 8 ? clientY + 18 : clientY - height - 12;
  tip.style.left = `${Math.max(8, Math.min(innerWidth - width - 8, x))}px`;
  tip.style.top = `${Math.max(8, y)}px`;
}

function hideTip() {
  byId("tip").hidden = true;
  light(null);
}

/**
 * Hover, tap and arrow keys over the dots of a chart.
 * `dots`: [{name, x, y, lines}], those of one series in the order of the rate.
 */
function makeLive(svg, dots, frame) {
  const halo = g("path", { class: "halo", d: SHAPES.circle(8), visibility: "hidden" });
  svg.append(halo);
  let current = -1;
  const show = (index) => {
    const dot = dots[(current = index)];
    const box = svg.getBoundingClientRect();
    halo.setAttribute("transform", `translate(${dot.x},${dot.y})`);
    halo.setAttribute("visibility", "visible");
    light(dot.name);
    const scale = box.width / frame.width;
    showTip(box.left + dot.x * scale, box.top + dot.y * scale, dot.name, dot.lines());
  };
  const hide = () => {
    current = -1;
    halo.setAttribute("visibility", "hidden");
    hideTip();
  };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const scale = frame.width / box.width;
    const [px, py] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = -1;
    let reach = event.pointerType === "touch" ? 44 : 30;
    dots.forEach((dot, i) => {
      const distance = Math.hypot(dot.x - px, dot.y - py);
      if (distance < reach) [best, reach] = [i, distance];
    });
    return best;
  };
  const follow = (event) => {
    const index = nearest(event);
    if (index < 0) hide();
    else if (index !== current) show(index);
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  svg.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hide());
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    if (!dots.length) return;
    const names = distinct(dots.map((dot) => dot.name));
    const dot = dots[current];
    let next = current;
    if (event.key === "Escape") return hide();
    if (event.key === "ArrowRight") next = Math.min(dots.length - 1, current + 1);
    else if (event.key === "ArrowLeft") next = Math.max(0, current - 1);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : names.length - 1;
      const name = names[((dot ? names.indexOf(dot.name) : -step) + step) % names.length];
      next = dots.findIndex((one) => one.name === name);
    } else return;
    event.preventDefault();
    show(next);
  });
}

/** An empty chart of the width of its figure. */
function canvas(figure, height, label) {
  const width = Math.max(280, figure.clientWidth);
  const svg = g("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", tabindex: 0, "aria-label": label });
  set(figure, svg);
  return { svg, width };
}
