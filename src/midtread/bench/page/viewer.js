// Two codecs at nearly the same size, side by side under a divider, with what was measured on the real files.

const looking = { picture: 0, rate: Math.min(1, PICTURES.rates.length - 1), left: null, right: null };

const ORIGINAL = " original"; // no series is called that: names of series do not begin with a space

function shotOf(side) {
  const scene = PICTURES.pictures[looking.picture];
  const index = side === ORIGINAL ? scene.original : scene.picks[looking.rate][side];
  return index === undefined ? null : PICTURES.shots[index];
}

const sideName = (side) => (side === ORIGINAL ? "Original" : side);

/** Series with a picture at this rate, in the order of the plan. */
function sides() {
  const picks = PICTURES.pictures[looking.picture].picks[looking.rate];
  return DATA.lossy.filter((name) => name in picks);
}

/** The anchor on the left, the smallest series by BD-rate on the right: the largest difference at one size. */
function firstSides() {
  const names = sides();
  const ranked = names.filter((name) => isNumber(bdRate(name).percent)).sort((a, b) => bdRate(a).percent - bdRate(b).percent);
  looking.left = names.includes(state.anchor) ? state.anchor : ORIGINAL;
  looking.right = ranked.find((name) => name !== looking.left) || names.find((name) => name !== looking.left) || ORIGINAL;
}

/** How far the nearest setting is from the wanted rate, where that is worth saying. */
function offTarget(shot) {
  const wanted = PICTURES.rates[looking.rate];
  const ratio = shot.rate_bpp / wanted;
  return ratio > 1.15 || ratio < 0.87 ? `${signedPercent(100 * (ratio - 1), 0)} from ${wanted} bpp, its nearest setting` : "";
}

const viewerParts = {};

function buildViewer() {
  const root = byId("viewer");
  if (!root) return;
  const image = () => h("img", { alt: "", draggable: "false", decoding: "async" });
  const handle = h("div", {
    class: "split", role: "slider", tabindex: 0, "aria-label": "Divider between the pictures", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 50,
  });
  const stage = h(
    "div",
    { class: "stage" },
    h("div", { class: "layer" }, image()),
    h("div", { class: "layer" }, image()),
    h("div", { class: "caption left" }),
    h("div", { class: "caption right" }),
    handle,
  );
  const zooms = h("div", { class: "segments" });
  const flip = h("button", { type: "button", class: "chip", title: "Show one picture, then the other (key F)" }, "Flip");
  const swap = h("button", { type: "button", class: "chip" }, "Swap sides");
  const choices = h("div", { class: "row" });
  const side = h("div", { class: "side" });
  const foot = h("div", { class: "row stage-foot" }, zooms, h("div", {}, flip, " ", swap));
  set(root, choices, h("div", { class: "stage-hold" }, stage, foot), side);
  const sizes = [["fit", "Fit"], [1, "1×"], [2, "2×"], [4, "4×"]];
  const control = makeStage(stage, (view) => press(view.fit ? "fit" : view.scale));
  const press = segments(zooms, "Zoom", sizes, "fit", (scale) => (scale === "fit" ? control.fit() : control.zoomTo(scale)));
  flip.addEventListener("click", control.flip);
  swap.addEventListener("click", () => {
    [looking.left, looking.right] = [looking.right, looking.left];
    drawViewer();
  });
  Object.assign(viewerParts, { stage, control, choices, side, foot });
  firstSides();
  onResize(stage.parentElement, layStage);
  onChange(drawViewer);
}

/** As wide as there is room, a whole number of screen pixels per picture pixel from 2 on; never higher than the window. */
function layStage() {
  const { stage, control, foot } = viewerParts;
  const [, , width, height] = PICTURES.pictures[looking.picture].crop;
  const room = stage.parentElement.clientWidth;
  const wide = room >= 2 * width ? width * Math.floor(room / width) : room;
  stage.style.width = foot.style.width = `${wide}px`;
  stage.style.height = `${Math.min(Math.round((wide * height) / width), Math.max(260, Math.round(innerHeight * 0.8)))}px`;
  control.resize([width, height]);
}

function drawChoices() {
  const { choices } = viewerParts;
  const pictures = h("div", { class: "segments" });
  const rates = h("div", { class: "segments" });
  segments(pictures, "Picture", PICTURES.pictures.map((one, i) => [i, one.item]), looking.picture, (i) => choose({ picture: i }));
  segments(rates, "Size", PICTURES.rates.map((rate, i) => [i, `${rate} bpp`]), looking.rate, (i) => choose({ rate: i }));
  const select = (side, label) => {
    const options = [[ORIGINAL, "Original"], ...sides().map((name) => [name, name])];
    const items = options.map(([value, text]) => h("option", { value, selected: value === looking[side] }, text));
    const change = (event) => choose({ [side]: event.target.value });
    return h("label", { class: "field" }, label, h("select", { "data-side": side, onchange: change }, items));
  };
  const focused = choices.contains(document.activeElement) ? [...choices.querySelectorAll("button, select")].indexOf(document.activeElement) : -1;
  set(choices, pictures, rates, select("left", "Left"), select("right", "Right"));
  choices.querySelectorAll("button, select")[focused]?.focus({ preventScroll: true });
}

function choose(changes) {
  Object.assign(looking, changes);
  drawViewer();
}

/** Table of both sides; the better of two values is bold. */
function comparison(shots) {
  const rows = [["Setting", (shot) => shot.setting], ["File", (shot) => bytesText(shot.size_bytes)], ["bpp", (shot) => significant(shot.rate_bpp)]];
  const value = (shot, name) => (shot && shot.series !== null ? shot.metrics[name] : undefined);
  const cell = (shot, text, best) => h("td", { class: best ? "number best" : "number" }, shot && shot.series !== null ? text(shot) : "–");
  const body = rows.map(([label, text]) => h("tr", {}, h("td", {}, label), shots.map((shot) => cell(shot, text))));
  for (const one of DATA.metrics) {
    const values = shots.map((shot) => value(shot, one.name));
    if (values.every((number) => number === undefined)) continue;
    const both = values.every(isNumber) && values[0] !== values[1];
    const better = one.better === "higher" ? Math.max(...values) : Math.min(...values);
    const text = (number) => (number === null ? "exact" : qualityText(one.name, number, false));
    const unit = one.unit && !one.decibels ? h("small", {}, ` ${one.unit}`) : null;
    body.push(h("tr", {}, h("td", {}, one.label, unit), shots.map((shot, i) => cell(shot, () => text(values[i]), both && values[i] === better))));
  }
  const title = (side, text) => h("th", { scope: "col", class: "number wrap" }, text, h("br"), h("strong", {}, sideName(side)));
  const head = h("tr", {}, h("th"), title(looking.left, "Left"), title(looking.right, "Right"));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, body));
}

function drawViewer() {
  const { stage } = viewerParts;
  for (const mine of ["left", "right"]) {
    if (looking[mine] !== ORIGINAL && !sides().includes(looking[mine])) looking[mine] = ORIGINAL;
  }
  const images = stage.querySelectorAll("img");
  const captions = stage.querySelectorAll(".caption");
  [looking.left, looking.right].forEach((name, i) => {
    const shot = shotOf(name);
    images[i].src = `data:image/avif;base64,${shot.data}`;
    images[i].alt = `${PICTURES.pictures[looking.picture].item}, ${sideName(name)}`;
    const facts = shot.series === null ? "" : `${bytesText(shot.size_bytes)} · ${significant(shot.rate_bpp)} bpp`;
    set(captions[i], h("b", {}, sideName(name)), facts, shot.series !== null && offTarget(shot) ? [h("br"), offTarget(shot)] : null);
  });
  drawChoices();
  set(viewerParts.side, comparison([shotOf(looking.left), shotOf(looking.right)]));
  layStage();
  viewerNote();
}

function viewerNote() {
  const scene = PICTURES.pictures[looking.picture];
  const [x, y, width, height] = scene.crop;
  const whole = width === scene.width && height === scene.height;
  const part = whole ? "The whole picture" : `${width} × ${height} pixels from (${x}, ${y}) of the ${scene.width} × ${scene.height} picture`;
  set(
    byId("viewer-note"),
    `Every codec at its setting nearest to the same file size. Drag the divider, or zoom in and drag the picture. ${part}, re-coded ` +
      `for display nearly without loss (AVIF 4:4:4, at least ${fixed(PICTURES.worst_copy_db, 1)} dB to the decoded picture); all numbers ` +
      "are those of the real files, of the whole picture.",
  );
}
