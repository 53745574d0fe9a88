// The bar of choices: metric, anchor, dataset, machine, family. A choice of one is shown as plain text.

function field(label, options, value, choose, main) {
  if (!options.length) return null;
  if (options.length < 2 && !main) return h("div", { class: "field fixed" }, label, h("output", {}, options[0][1]));
  const select = h(
    "select",
    { onchange: (event) => choose(event.target.value) },
    options.map(([one, text]) => h("option", { value: one, selected: one === value }, text)),
  );
  return h("label", { class: main ? "field main" : "field" }, label, select);
}

const distinct = (values) => [...new Set(values)];

/** The group of this dataset on this machine, else the first one of the dataset. */
function findGroup(dataset, machine) {
  const exact = DATA.groups.findIndex((one) => one.dataset === dataset && one.machine === machine);
  return exact >= 0 ? exact : DATA.groups.findIndex((one) => one.dataset === dataset);
}

/** After a change of group or family the anchor may be gone: fall back to the default, then to the first. */
function keepAnchor() {
  const names = anchors();
  if (!names.includes(state.anchor)) state.anchor = names.includes(DATA.anchor) ? DATA.anchor : names[0];
}

/** Nearly any series of the group can be the anchor, of whatever family: a learned codec is compared with JPEG too. */
function anchors() {
  const here = new Set(group().points.map((point) => point.series));
  return DATA.anchors.filter((name) => here.has(name));
}

/** Metrics that anything of this group was measured by: a page may hold pictures and fields. */
const metricsHere = () => DATA.metrics.filter((one) => group().points.some((point) => point.y[one.name]));

function keepMetric() {
  const names = metricsHere().map((one) => one.name);
  if (names.length && !names.includes(state.metric)) state.metric = names[0];
}

function drawControls() {
  keepMetric();
  keepAnchor();
  const focused = document.activeElement && document.activeElement.closest(".field");
  const position = focused ? [...byId("controls").children].indexOf(focused) : -1;
  const datasets = distinct(DATA.groups.map((one) => one.dataset));
  const machines = distinct(DATA.groups.filter((one) => one.dataset === group().dataset).map((one) => one.machine));
  const families = distinct(DATA.series.map((one) => one.family));
  const pairs = (names) => names.map((name) => [name, name]);
  const allFamilies = families.length > 1 ? [["", "all"], ...pairs(families)] : pairs(families);
  set(
    byId("controls"),
    field("Metric", metricsHere().map((one) => [one.name, one.label]), state.metric, (one) => update({ metric: one }), true),
    field("Anchor (0 %)", pairs(anchors()), state.anchor, (one) => update({ anchor: one }), true),
    field(isTensor() ? "Field" : "Dataset", pairs(datasets), group().dataset, (one) => update({ group: findGroup(one, group().machine) })),
    field("Machine", pairs(machines), group().machine, (one) => update({ group: findGroup(group().dataset, one) })),
    field("Family", allFamilies, state.family, (one) => update({ family: one })),
  );
  if (position >= 0) byId("controls").children[position]?.querySelector("select")?.focus();
}

/** One or two sentences: who is smallest, and who is fast among the good ones. All of it from the tables below. */
function drawFinding() {
  if (isTensor()) return drawFieldFinding();
  const rows = lossySeries()
    .map((name) => ({ name, bd: bdRate(name), point: timedPoint(name) }))
    .filter((row) => isNumber(row.bd.percent) && !row.bd.isAnchor)
    .sort((a, b) => a.bd.percent - b.bd.percent);
  const strong = (text) => h("strong", {}, text);
  const less = (percent) => (percent < 0 ? `${fixed(-percent, 0)} % smaller than` : `${fixed(percent, 0)} % larger than`);
  if (!rows.length) {
    return set(byId("finding"), "Nothing here can be compared with ", strong(state.anchor || "an anchor"), ".");
  }
  const first = rows[0];
  const where = `At equal ${metric().label} on ${countOf(group().pictures)} of ${group().dataset}, `;
  const parts = [where, strong(first.name), " makes the smallest files: ", `${less(first.bd.percent)} `, strong(state.anchor), "."];
  const near = rows.filter((row) => row.point && row.bd.percent < 0.5 * first.bd.percent && isNumber(row.point.encode_mpx_s));
  near.sort((a, b) => b.point.encode_mpx_s - a.point.encode_mpx_s);
  if (first.bd.percent < 0 && near.length && near[0].name !== first.name) {
    const quick = near[0];
    parts.push(
      " Of those that reach half of that gain, ",
      strong(quick.name),
      ` encodes fastest, at ${speedText(quick.point.encode_mpx_s)} megapixels per second (${signedPercent(quick.bd.percent, 0)}).`,
    );
  }
  return set(byId("finding"), parts);
}

onChange(drawControls);
onChange(drawFinding);
