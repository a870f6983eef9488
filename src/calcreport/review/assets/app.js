// The page of calcreport review. What is shown comes as data and is set as text; nothing is ever read as markup.

import { Viewer, presetNames } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const TOKEN = new URLSearchParams(location.search).get("token") ?? "";
const REASONS = ["bone or joint", "vessel", "artefact", "contrast medium", "foreign body or implant", "inside an organ",
  "not calcification", "known, not to be reported"];
const CONCERNS = ["high", "refused", "flagged", "modified", "indeterminate", "none", ""];
const LAYERS = { cutaneous: "cutaneous", subcutaneous: "subcutaneous", abuts_fascia: "abuts the fascia", crosses_fascia: "crosses the fascia",
  subfascial: "subfascial", juxtacortical: "juxtacortical", cannot_determine: "not determined" };
const SIDES = { left: "left", right: "right", midline: "midline", unknown: "not determined" };
const MASSES = { yes: "present", no: "absent", unknown: "not determined" };
const FIELDS = ["pattern", "depth_class", "laterality", "region", "max_diameter_mm", "mass", "mass_mm"];
const KEYS = "j k next and previous lesion · a accept · r reject · p pattern · d layer · s side · e region · z mineral · m mass · " +
  "g apply to all of this group · u undo · c copy · f finish · 1-4 window · + - 0 zoom · o outlines · up and down arrow: slices · l list";

let words, study = null, viewers = [], studies = [];

function make(tag, properties = {}, ...children) {
  const { label, ...rest } = properties, element = Object.assign(document.createElement(tag), rest);
  if (label) element.setAttribute("aria-label", label);
  element.append(...children);
  return element;
}

function say(text, isBad = false) {
  $("message").textContent = text;
  $("message").classList.toggle("bad", isBad);
}

async function ask(path, options = {}) {
  try {
    return await fetch(path, { ...options, headers: { Authorization: `Bearer ${TOKEN}`, ...options.headers } });
  } catch {
    say("calcreport review has stopped. Your decisions are still here: download review.yaml below.", true);
    throw new Error("no answer");
  }
}

const addressOf = (folder, rest = "") => `/api/studies/${encodeURIComponent(folder)}${rest && `/${rest}`}`;

// --- worklist -----------------------------------------------------------------------------------------------------

function reviewOf(row) {
  if (row.status === "refused") return "";
  if (row.is_changed) return "not finished";
  if (!row.total) return "nothing to decide";
  if (!row.decided) return "not reviewed";
  return `${row.decided === row.total ? "reviewed" : `${row.decided} of ${row.total} decided`}${row.who && `, ${row.who}`}`;
}

/** Row of the list from what a report says of its study and of the decisions about it. */
function unpackRow(row) {
  if (row.status === "refused") return row;
  const decided = row.reviews.filter(Boolean), who = decided.map((review) => [review.reader, review.date].filter(Boolean).join(" ")).sort();
  const { patient } = row.study, hasConcern = row.lesions > 0 || row.concern !== "none";
  return { ...row, ...describe(row.study), identity: [patient.id, patient.name, patient.birth_date], concern: hasConcern ? row.concern : "",
    total: row.reviews.length, decided: decided.length, who: who.at(-1) ?? "" };
}

/** Title, patient and date of a study as they are shown. */
function describe({ description, body_part, modality, patient, study_date }) {
  const name = (patient.name ?? "").split("=").map((group) => group.split("^").slice(0, 2).filter(Boolean).join(", ")).find(Boolean);
  const date = /^\d{8}$/.test(study_date ?? "") ? study_date.replace(/(....)(..)(..)/, "$1-$2-$3") : study_date ?? "";
  return { title: description || body_part || modality, patient: [name, patient.id].filter(Boolean).join(" "), date };
}

const fetchStudies = async () => (await (await ask("/api/studies")).json()).map(unpackRow);

function compareBy(kind) {
  const text = (value) => (a, b) => value(a).localeCompare(value(b));
  const rank = (row) => CONCERNS.indexOf(row.status === "refused" ? "refused" : row.concern);
  return {
    concern: (a, b) => rank(a) - rank(b) || text((row) => row.date ?? "")(b, a),
    date: (a, b) => text((row) => row.date ?? "")(b, a),
    patient: text((row) => row.patient ?? ""),
    lesions: (a, b) => (b.lesions ?? -1) - (a.lesions ?? -1),
    review: text(reviewOf),
  }[kind];
}

function listStudies() {
  const wanted = $("search").value.trim().toLowerCase().split(/\s+/);
  const rows = studies.filter((row) => {
    const all = [row.title, row.patient, row.date, row.concern, row.status, row.message, row.folder, reviewOf(row)].join(" ").toLowerCase();
    return wanted.every((word) => all.includes(word));
  }).sort(compareBy($("sort").value));
  $("count").textContent = `${rows.length} of ${studies.length} studies`;
  $("studies").replaceChildren(...rows.map((row) => {
    const isOpen = row.status !== "refused";
    const name = isOpen ? make("button", { type: "button", textContent: row.title || row.folder }) : make("span", { textContent: row.folder });
    if (isOpen) name.addEventListener("click", () => { location.hash = `#/${row.folder}`; });
    const concern = isOpen ? row.concern || "no lesion" : row.message;
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", { textContent: row.patient ?? "" }), make("td", { textContent: row.date ?? "" }),
      make("td", { textContent: concern, className: row.concern ?? "" }), make("td", { textContent: isOpen ? row.lesions : "" }),
      make("td", { textContent: reviewOf(row) }));
  }));
}

async function showList() {
  closeStudy();
  $("worklist").hidden = false;
  $("title").textContent = document.title = "Studies to review";
  $("patient").textContent = "";
  studies = await fetchStudies();
  listStudies();
  $("search").focus();
}

// --- one study ----------------------------------------------------------------------------------------------------

function closeStudy() {
  for (const viewer of viewers) viewer.observer.disconnect();
  viewers = [];
  study = null;
  $("study").hidden = $("worklist").hidden = $("to-list").hidden = true;
  $("viewers").replaceChildren();
  $("tools").replaceChildren();
  say("");
}

async function openStudy(folder) {
  closeStudy();
  const [answer, described] = [ask(addressOf(folder)), ask(addressOf(folder, "images"))];
  const state = unpackState(await (await answer).json());
  if (state.code) { await showList(); say(`${state.message} [${state.code}]`, true); return; }
  study = { folder, state, decisions: state.decisions, history: [], current: 0, rows: {}, sending: null, waiting: null };
  $("study").hidden = $("to-list").hidden = false;
  const { title, patient, date } = describe(state.study);
  $("title").textContent = title;
  document.title = `${title}: review`;
  $("patient").textContent = [patient, date].filter(Boolean).join(", ");
  $("reader").value = state.reader;
  buildRows();
  show(state);
  select(0, false);
  await showImages(folder, await (await described).json());
}

async function showImages(folder, info) {
  const open = async (name, of, told) => {
    const root = make("section", { className: "viewer", label: name });
    $("viewers").append(root);
    const viewer = new Viewer(root, name, (path) => ask(addressOf(of, path)));
    viewers.push(viewer);
    await viewer.load(told);
  };
  if (study?.folder !== folder) return;
  buildTools(info);
  const first = open("This study", folder, info);
  markRejected();
  viewers[0].select(current()?.id);
  await first;
  const earlier = await findEarlier(folder);
  if (!earlier || study?.folder !== folder) return;
  const told = await (await ask(addressOf(earlier.folder, "images"))).json();
  if (told.code || told.problem || !(told.stacks.length || told.films.length)) { say(`The earlier study of ${earlier.date} has no images here.`); return; }
  await open(`Earlier study, ${earlier.date}`, earlier.folder, told);
  const [now, then] = viewers;
  const beside = () => then.select(current()?.prior ?? told.lesions[0]?.id);
  beside();
  now.onMove = (slices) => {
    if (now.isFilm || then.isFilm) return;
    const mm = (viewer) => viewer.info.stacks[viewer.stack].spacing_mm[0];
    then.go(then.at[0] + Math.round((slices * mm(now)) / mm(then)));
  };
}

/** Earlier study of the same patient in this folder: the one compared with, else the latest. */
async function findEarlier(folder) {
  studies = await fetchStudies();
  const own = studies.find((row) => row.folder === folder), { compared } = study?.state ?? {};
  const isSame = (row) => own.identity[0] && row.date && row.date < own.date && JSON.stringify(row.identity) === JSON.stringify(own.identity);
  const earlier = studies.filter((row) => row.status !== "refused" && own && isSame(row)).sort(compareBy("date"));
  return earlier.find((row) => row.date === compared) ?? earlier[0];
}

function buildTools(info) {
  const isFilm = info.films.length > 0;
  const button = (text, key, act, pressed) => {
    const made = make("button", { type: "button" }, `${text} `, make("kbd", { textContent: key }));
    made.setAttribute("aria-keyshortcuts", key);
    if (pressed !== undefined) made.setAttribute("aria-pressed", pressed);
    made.addEventListener("click", act);
    return made;
  };
  if (info.problem) return;
  const presets = presetNames(isFilm).map((name, n) => button(name, String(n + 1), () => usePreset(n), n === 0));
  $("tools").replaceChildren(...presets, button("Zoom in", "+", () => zoom(1.25)), button("Zoom out", "-", () => zoom(0.8)), button("Fit", "0", fit),
    button("Outlines", "o", () => viewers.forEach((viewer) => viewer.toggleOutlines())));
}

function usePreset(number) {
  viewers.forEach((viewer) => viewer.canvases && viewer.setPreset(number));
  [...$("tools").children].slice(0, 4).forEach((button, n) => button.setAttribute("aria-pressed", n === number));
}
const zoom = (factor) => viewers.forEach((viewer) => viewer.canvases && viewer.zoomBy(factor));
const fit = () => viewers.forEach((viewer) => viewer.canvases && viewer.reset());
const current = () => study?.state.rows[study.current];

function choices(select, options, isBlank = false) {
  select.replaceChildren(...(isBlank ? [make("option", { value: "", textContent: "" })] : []),
    ...Object.entries(options).map(([value, textContent]) => make("option", { value, textContent })));
}

function buildRows() {
  const regions = Object.fromEntries(words.regions.map((region) => [region, region]));
  choices($("all-side"), SIDES, true);
  choices($("all-region"), regions, true);
  const groups = study.state.rows.reduce((count, row) => ({ ...count, [row.group]: (count[row.group] ?? 0) + 1 }), {});
  $("lesions").replaceChildren(...study.state.rows.map((row, index) => {
    const cell = (name, title, options) => {
      const input = make(options ? "select" : "input", { label: `${title} of ${row.id}` });
      if (options) choices(input, options);
      else Object.assign(input, { type: "number", min: "0.1", step: "0.1", inputMode: "decimal" });
      input.addEventListener("change", () => setValue(row.id, name, input.value, input));
      input.addEventListener("focus", () => { select(index, false); input.isFresh = true; });
      input.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== "Escape") return;
        event.preventDefault();
        if (event.key === "Enter" && !options && input.value !== input.shown) setValue(row.id, name, input.value, input);
        study.rows[row.id].name.focus();
      });
      const box = make("td", {}, input);
      box.dataset.label = title;
      return [box, input];
    };
    const kept = row.now.region && !regions[row.now.region] ? { [row.now.region]: row.now.region } : {};
    const kinds = [cell("pattern", "Pattern", words.patterns), cell("depth_class", "Layer", LAYERS), cell("laterality", "Side", SIDES),
      cell("region", "Region", { "": "not determined", ...kept, ...regions }), cell("max_diameter_mm", "Mineral, mm"), cell("mass", "Mass", MASSES), cell("mass_mm", "Mass, mm")];
    const name = make("button", { type: "button", className: "name", textContent: row.id });
    name.addEventListener("click", () => select(index, false));
    name.addEventListener("focus", () => select(index, false));
    const act = (textContent, does) => { const made = make("button", { type: "button", textContent, label: `${textContent} ${row.id}` }); made.addEventListener("click", () => { select(index, false); does(); }); return made; };
    const accept = act("Accept", acceptLesion), reject = act("Reject", askReason), why = make("span", { className: "why" });
    const alike = groups[row.group] > 1 ? [act(`All ${groups[row.group]} alike`, applyToGroup)] : [];
    alike.forEach((made) => made.setAttribute("title", `Apply to all of: ${row.group} (g)`));
    const decision = make("td", {}, make("div", { className: "choice" }, accept, reject, ...alike), why), concern = make("td");
    decision.dataset.label = "Decision";
    concern.dataset.label = "Concern";
    const line = make("tr", {}, make("th", { scope: "row" }, name, " ", make("small", { textContent: row.image })), decision, ...kinds.map(([box]) => box), concern);
    line.addEventListener("click", (event) => { if (event.target === line || event.target.tagName === "TD") select(index, false); });
    study.rows[row.id] = { line, name, accept, reject, why, concern, inputs: Object.fromEntries(FIELDS.map((field, n) => [field, kinds[n][1]])) };
    return line;
  }));
}

/** Values of a lesion as the form has them, under the names of the review file. */
const valuesOf = (lesion) => ({ pattern: lesion.pattern.id, label: words.patterns[lesion.pattern.id] ?? lesion.pattern.label, depth_class: lesion.depth.class,
  laterality: lesion.location.laterality, region: lesion.location.region ?? "", max_diameter_mm: lesion.size.max_diameter_mm, mass: lesion.mass.present,
  mass_mm: lesion.mass.max_diameter_mm });

/** A state of the server with its rows as the table shows them. */
function unpackState(state) {
  for (const row of state.rows ?? []) {
    const { status = "", reason = null, reader, date } = row.review ?? {};
    Object.assign(row, { status, reason, who: [reader, date].filter(Boolean).join(" "), now: valuesOf(row.now), drafted: valuesOf(row.drafted) });
    row.group = row.drafted.label;
  }
  return state;
}

/** Shows a state of the server: text, rows, audit. */
function show(state) {
  study.state = state;
  $("text").textContent = state.text;
  $("notice").hidden = !state.notice;
  $("notice").textContent = state.notice;
  $("undo").disabled = !study.history.length;
  for (const row of state.rows) {
    const { line, accept, reject, why, concern, inputs } = study.rows[row.id];
    accept.setAttribute("aria-pressed", row.status === "accepted");
    reject.setAttribute("aria-pressed", row.status === "rejected");
    line.classList.toggle("rejected", row.status === "rejected");
    why.textContent = row.status === "corrected" ? "corrected" : row.reason ?? "";
    concern.textContent = row.concern;
    concern.className = row.concern;
    for (const field of FIELDS) {
      const value = String(row.now[field] ?? ""), drafted = String(row.drafted[field] ?? "");
      const shown = field.endsWith("_mm") && value ? String(Number(Number(value).toFixed(1))) : value;
      inputs[field].classList.toggle("changed", value !== drafted);
      inputs[field].title = value === drafted ? "" : `The draft says: ${drafted || "not determined"}`;
      if (field === "pattern" && !words.patterns[value]) choices(inputs[field], { [value]: row.now.label, ...words.patterns });
      if (document.activeElement !== inputs[field] || inputs[field].tagName === "SELECT") inputs[field].value = shown;
      inputs[field].shown = shown;
    }
  }
  $("audit").replaceChildren(...state.rows.filter((row) => row.status).map((row) => make("li", {
    textContent: `${row.id} ${row.status}${row.who && ` by ${row.who}`}${row.changes.length ? `: ${row.changes.join("; ")}` : ""}${row.reason ? `: ${row.reason}` : ""}` })));
  $("finish").disabled = state.is_blocked;
  markRejected();
}

function markRejected() {
  if (!viewers[0]) return;
  viewers[0].hidden = new Set(study.state.rows.filter((row) => row.status === "rejected").map((row) => row.id));
  viewers[0].draw();
}

function select(index, isFocused = true) {
  const rows = study.state.rows;
  if (!rows.length) return;
  const isOther = index !== study.current || !$("lesions").querySelector("[aria-current]");
  study.current = Math.min(rows.length - 1, Math.max(0, index));
  for (const row of rows) study.rows[row.id].line.removeAttribute("aria-current");
  const { name, line } = study.rows[current().id];
  line.setAttribute("aria-current", "true");
  if (isFocused) name.focus();
  line.scrollIntoView({ block: "nearest" });
  if (isOther) {
    viewers[0]?.select(current().id);
    if (current().prior) viewers[1]?.select(current().prior);
  }
}

// --- decisions ----------------------------------------------------------------------------------------------------

/** Takes decisions in place of those before, and asks the server for the text; only the latest waits while one is asked. */
function decide(change, merges = null) {
  const next = structuredClone(study.decisions);
  change(next);
  if (JSON.stringify(next) === JSON.stringify(study.decisions)) return;
  if (!merges || study.merged !== merges) study.history.push(study.decisions);
  study.merged = merges;
  send(next);
}

function send(next) {
  study.decisions = next;
  study.waiting = { next, since: performance.now() };
  study.sending ??= sendAll(study).finally(() => { if (study) study.sending = null; });
}

async function sendAll(of) {
  while (of.waiting) {
    const { next, since } = of.waiting;
    of.waiting = null;
    const answer = await change(of, "review", "PUT", { lesions: next });
    if (of !== study) return;
    if (!answer) { of.waiting = null; return; }
    show(answer);
    $("text").dataset.milliseconds = Math.round(performance.now() - since);
  }
}

/** Changes the study on the server; on a refusal the present state is shown, with the reason. */
async function change(of, path, method, body) {
  const headers = { "Content-Type": "application/json", "If-Match": of.state.version };
  const answer = await ask(addressOf(of.folder, path), { method, headers, body: JSON.stringify(body) });
  const state = await answer.json();
  unpackState(state.state ?? state);
  if (of !== study) return null;
  if (answer.ok) { say(""); return state; }
  if (state.state) {
    of.history = [];
    of.decisions = state.state.decisions;
    show(state.state);
  }
  say(`${state.message} [${state.code}]`, true);
  return null;
}

function setValue(id, field, typed, input) {
  const row = study.state.rows.find((entry) => entry.id === id);
  const value = field.endsWith("_mm") ? (typed === "" ? null : Number(typed)) : typed;
  if (field.endsWith("_mm") && value !== null && !(value > 0)) { say("A length is a number of mm above 0.", true); input.value = input.shown; return; }
  decide((next) => setIn(next, row, field, value), input.isFresh ? null : `${id} ${field}`);
  study.merged = `${id} ${field}`;
  input.isFresh = false;
}

/** Writes one value into the decisions; what the draft says already is no correction. */
function setIn(next, row, field, value) {
  const { decision, reason, ...values } = next[row.id] ?? {};
  const isDrafted = value === row.drafted[field] || value === null || (field === "region" && value === "");
  if (field === "pattern") isDrafted ? delete values.pattern : (values.pattern = { id: value });
  else if (field === "mass") isDrafted ? delete values.mass : (values.mass = { present: value });
  else if (field === "mass_mm") isDrafted ? delete values.mass : (values.mass = { present: "yes", max_diameter_mm: value });
  else isDrafted ? delete values[field] : (values[field] = value);
  if (Object.keys(values).length) next[row.id] = values;
  else delete next[row.id];
}

function acceptLesion() {
  const { id } = current();
  decide((next) => { if (next[id]?.decision === "accept") delete next[id]; else next[id] = { decision: "accept" }; });
}

function askReason() {
  $("reason").value = "";
  $("reasons").showModal();
  $("reason-list").querySelector("button").focus();
}

function reject(reason) {
  $("reasons").close();
  if (!reason.trim()) { say("A rejection needs its reason.", true); return; }
  const { id } = current();
  decide((next) => { next[id] = { decision: "reject", reason: reason.trim() }; });
  study.rows[id].name.focus();
}

/** Gives every lesion of the same pattern the decision of this one; lengths are each lesion's own. */
function applyToGroup() {
  const { id, group } = current(), { max_diameter_mm: _length, mass: _mass, ...own } = study.decisions[id] ?? {};
  if (!Object.keys(own).length) { say("Decide about this lesion first; then the others of its group follow."); return; }
  decide((next) => { for (const row of study.state.rows) if (row.group === group && row.id !== id) next[row.id] = { ...own }; });
  say(`Applied to all of this group: ${group}.`);
}

function setAll(field, select) {
  const value = select.value;
  select.value = "";
  if (value) decide((next) => { for (const row of study.state.rows) if (row.status !== "rejected") setIn(next, row, field, value); });
}

function undo() {
  if (!study.history.length) return;
  study.merged = null;
  send(study.history.pop());
}

async function finish() {
  const of = study;
  if ($("finish").disabled) return;
  $("finish").disabled = true;
  await of.sending;
  if (of !== study || of.waiting) return;
  say("Writing every output …");
  const state = await change(of, "finish", "POST", { reader: $("reader").value }).catch(() => null);
  if (of !== study) return;
  $("finish").disabled = of.state.is_blocked;
  if (!state) return;
  of.history = [];
  of.decisions = state.decisions;
  show(state);
  say("Finished: review.yaml and every output of this study are written.");
}

async function copy(text, what) {
  try {
    await study.sending;
    await navigator.clipboard.writeText(text());
  } catch {
    getSelection().selectAllChildren($("text"));
    document.execCommand("copy");
  }
  say(`${what} copied.`);
}

function download() {
  const link = make("a", { href: URL.createObjectURL(new Blob([study.state.review_yaml], { type: "application/yaml" })), download: "review.yaml" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function reload() {
  const { folder } = study;
  await ask(addressOf(folder, "review"), { method: "DELETE" });
  await openStudy(folder);
}

// --- keys ---------------------------------------------------------------------------------------------------------

const focusInput = (field) => () => { const input = study.rows[current().id].inputs[field]; input.focus(); input.select?.(); };
const ACTS = {
  j: () => select(study.current + 1), k: () => select(study.current - 1), a: acceptLesion, r: askReason, u: undo, g: applyToGroup, f: finish,
  c: () => copy(() => study.state.text, "Report"), p: focusInput("pattern"), d: focusInput("depth_class"), s: focusInput("laterality"),
  e: focusInput("region"), z: focusInput("max_diameter_mm"), m: focusInput("mass"), l: () => { location.hash = ""; },
  o: () => viewers.forEach((viewer) => viewer.toggleOutlines()), 0: fit, "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
  ArrowDown: () => viewers[0]?.step(1), ArrowUp: () => viewers[0]?.step(-1), PageDown: () => viewers[0]?.step(10), PageUp: () => viewers[0]?.step(-10),
};
[0, 1, 2, 3].forEach((n) => { ACTS[n + 1] = () => usePreset(n); });
const WITHOUT_LESION = new Set(["u", "f", "c", "l", "o", "0", "+", "=", "-", "1", "2", "3", "4", "ArrowDown", "ArrowUp", "PageDown", "PageUp"]);

document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (event.ctrlKey || event.altKey || event.metaKey || !$("use-keys").checked) return;
  if ($("reasons").open) {
    if (!isTyping && REASONS[Number(event.key) - 1]) { event.preventDefault(); reject(REASONS[Number(event.key) - 1]); }
    return;
  }
  if (isTyping) return;
  if (!study) {
    const buttons = [...$("studies").querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    if (event.key === "j" || event.key === "k") buttons[Math.min(buttons.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)))]?.focus();
    return;
  }
  const act = ACTS[event.key], isScrolling = event.key.startsWith("Arrow") || event.key.startsWith("Page");
  if (!act || (isScrolling && event.target.matches(".scroll, #text, .gone")) || (!current() && !WITHOUT_LESION.has(event.key))) return;
  event.preventDefault();
  act();
});

$("search").addEventListener("input", listStudies);
$("sort").addEventListener("change", listStudies);
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("to-list").addEventListener("click", ACTS.l);
$("copy").addEventListener("click", ACTS.c);
$("copy-findings").addEventListener("click", () => copy(() => study.state.findings, "Findings"));
$("copy-impression").addEventListener("click", () => copy(() => study.state.impression, "Impression"));
$("undo").addEventListener("click", undo);
$("finish").addEventListener("click", finish);
$("all-side").addEventListener("change", () => setAll("laterality", $("all-side")));
$("all-region").addEventListener("change", () => setAll("region", $("all-region")));
$("download").addEventListener("click", download);
$("reload").addEventListener("click", reload);
$("reject").addEventListener("click", () => reject($("reason").value));
$("cancel").addEventListener("click", () => $("reasons").close());
$("reason").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); reject($("reason").value); } });
$("keys").textContent = KEYS;
REASONS.forEach((reason, n) => {
  const button = make("button", { type: "button" }, make("kbd", { textContent: n + 1 }), ` ${reason}`);
  button.addEventListener("click", () => reject(reason));
  $("reason-list").append(button);
});

async function route() {
  const folder = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  await (folder ? openStudy(folder) : showList());
}

words = await (await ask("/api/words")).json();
window.addEventListener("hashchange", route);
studies = await fetchStudies();
if (studies.length === 1 && studies[0].status !== "refused" && !location.hash) location.replace(`#/${studies[0].folder}`);
else await route();
