/** A board of line charts: one for each metric and those that people put together; pinned, rearranged, made only when seen. */

import { debounce, h, stylesheet } from "../dom.js";
import { Card } from "./card.js";
import { AXES, LineChart } from "./line.js";
import { colour } from "./paint.js";

/** Curves of so many runs fit one chart. */
export const MOST_RUNS = 100;

export class Board {
  constructor(params, only = (_) => true) {
    this.only = only;
    stylesheet("charts/charts.css");
    this.params = params;
    this.runs = [];
    this.metrics = [];
    this.slots = new Map();
    this.bar = h("div", { class: "charts-bar", role: "group", "aria-label": "Settings of all charts" });
    this.side = h("div", { class: "charts-runs" });
    this.grid = h("div", { class: "charts-sections" });
    this.el = h("div", { class: "charts" }, this.bar, h("div", { class: "charts-body" }, this.side, this.grid));
    this.eye = new IntersectionObserver((entries) => entries.forEach((entry) => this.see(entry)), { rootMargin: "300px" });
    this.search = h("input", { type: "search", placeholder: "Search metrics", "aria-label": "Search metrics", value: params.get("metrics") || "" });
    this.search.addEventListener("input", () => { params.set({ metrics: this.search.value || null }); this.layOut(); });
    this.axis = h("select", { "aria-label": "X axis" });
    this.axis.addEventListener("change", () => { this.forgetZoom(); params.set({ x: this.axis.value === "step" ? null : this.axis.value }); this.apply(); });
    const slider = h("input", { type: "range", min: 0, max: 0.99, step: 0.01, value: this.smoothing(), "aria-label": "Smoothing" });
    const amount = h("output", {}, this.smoothing().toFixed(2));
    const smooth = debounce(() => { params.set({ smooth: Number(slider.value) ? slider.value : null }); this.apply(); }, 90);
    slider.addEventListener("input", () => { amount.textContent = Number(slider.value).toFixed(2); smooth(); });
    const clip = h("input", { type: "checkbox", checked: params.get("clip") === "1" });
    clip.addEventListener("change", () => { params.set({ clip: clip.checked ? "1" : null }); this.apply(); });
    this.group = h("select", { "aria-label": "Group by" });
    this.group.addEventListener("change", () => { params.set({ group: this.group.value || null }); this.apply(); });
    const band = h("select", { "aria-label": "Band" }, ...Object.entries({ deviation: "± deviation", range: "min to max", error: "± standard error", none: "none" }).map(([value, text]) => h("option", { value }, text)));
    band.value = params.get("band") || "deviation";
    band.addEventListener("change", () => { params.set({ band: band.value }); this.apply(); });
    this.groupLabel = h("label", {}, "Group by ", this.group);
    this.bandLabel = h("label", {}, "Band ", band);
    this.bar.append(this.search, h("label", {}, "X axis ", this.axis), h("label", { class: "smoothing" }, "Smoothing ", slider, amount),
      h("label", {}, clip, " Clip outliers"), this.groupLabel, this.bandLabel, this.adder());
  }

  destroy() {
    this.eye.disconnect();
    for (const slot of this.slots.values()) slot.card?.destroy();
    this.slots.clear();
  }

  // What is chosen

  hidden() { return new Set(this.params.all("hide")); }

  /** The settings of one chart. */
  own(id) {
    try {
      return JSON.parse(this.params.get(`c.${id}`) || "{}") || {};
    } catch {
      return {};
    }
  }

  change(id, patch) {
    const now = Object.fromEntries(Object.entries({ ...this.own(id), ...patch }).filter(([, value]) => value));
    this.params.set({ [`c.${id}`]: Object.keys(now).length ? JSON.stringify(now) : null });
  }

  shownRuns() {
    const hidden = this.hidden();
    const by = this.params.get("group") || "";
    return this.runs.slice(0, MOST_RUNS).map((run, n) => ({ run, n })).filter(({ run }) => !hidden.has(run.id)).map(({ run, n }) => ({
      id: run.id, name: run.name, colour: this.runs.length > 1 ? colour(n) : colour(0), ...(by ? { group: groupOf(run, by) } : {}),
    }));
  }

  options(id) {
    const x = this.params.get("x") || "step";
    const own = this.own(id);
    const metric = x.startsWith("metric:") ? x.slice(7) : undefined;
    return { x: metric === undefined ? (AXES[x] ? x : "step") : "metric", xMetric: metric, smoothing: this.smoothing(), logX: !!own.lx, logY: !!own.ly, clip: !!own.clip !== (this.params.get("clip") === "1"), band: this.params.get("band") || "deviation" };
  }

  smoothing() { return Math.min(Math.max(Number(this.params.get("smooth")) || 0, 0), 0.999); }

  // The bar

  /** A menu that puts several metrics into one chart. */
  adder() {
    const list = h("div", { class: "menu-list checks" });
    const menu = h("details", { class: "menu add" }, h("summary", { class: "button" }, "Add chart"), list);
    menu.addEventListener("toggle", () => {
      if (!menu.open) return;
      const search = h("input", { type: "search", placeholder: "Search metrics", "aria-label": "Search metrics for the new chart" });
      const rows = h("div", { class: "checks-rows", role: "group", "aria-label": "Metrics of the new chart" });
      const chosen = new Set();
      const fill = () => rows.replaceChildren(...this.metrics.filter((key) => chosen.has(key) || matches(key, search.value)).slice(0, 200).map((key) => {
        const box = h("input", { type: "checkbox", checked: chosen.has(key) });
        box.addEventListener("change", () => { if (box.checked) chosen.add(key); else chosen.delete(key); });
        return h("label", {}, box, ` ${key}`);
      }));
      search.addEventListener("input", fill);
      fill();
      list.replaceChildren(search, rows, h("button", { type: "button", class: "primary", onclick: () => {
        menu.open = false;
        if (!chosen.size) return;
        const text = JSON.stringify([...chosen]);
        this.params.set({ chart: [...this.params.all("chart").filter((one) => one !== text), text] });
        this.layOut();
        this.slots.get(text)?.place.scrollIntoView({ block: "nearest" });
      } }, "Add"));
      search.focus();
    });
    menu.addEventListener("keydown", (event) => { if (event.key === "Escape" && menu.open) { menu.open = false; event.stopPropagation(); } });
    return menu;
  }

  fillBar() {
    const x = this.params.get("x") || "step";
    this.axis.replaceChildren(...Object.entries(AXES).map(([value, text]) => h("option", { value }, text)),
      h("optgroup", { label: "Another metric" }, ...this.metrics.slice(0, 500).map((key) => h("option", { value: `metric:${key}` }, key))));
    this.axis.value = x;
    const keys = (kind) => [...new Set(this.runs.flatMap((run) => [...run[kind].keys()]))].filter((key) => !key.startsWith("mlflow.")).sort();
    const entries = (kind) => keys(kind).slice(0, 300).map((key) => h("option", { value: `${kind}:${key}` }, key));
    this.group.replaceChildren(h("option", { value: "" }, "nothing"), h("optgroup", { label: "Parameters" }, ...entries("params")), h("optgroup", { label: "Tags" }, ...entries("tags")));
    this.group.value = this.params.get("group") || "";
    const many = this.runs.length > 1;
    this.groupLabel.hidden = !many;
    this.bandLabel.hidden = !many || !this.params.get("group");
  }

  forgetZoom() {
    for (const id of this.slots.keys()) if (this.own(id).x || this.own(id).y) this.change(id, { x: null, y: null });
  }

  // Runs and charts

  /** Show these runs; called again whenever they changed. */
  setRuns(runs) {
    const ids = (all) => all.map((run) => run.id + run.name).join();
    const metrics = [...new Set(runs.slice(0, MOST_RUNS).flatMap((run) => [...run.metrics.keys()]))].filter(this.only).sort(byName);
    const same = ids(runs) === ids(this.runs) && metrics.join("\0") === this.metrics.join("\0");
    this.runs = runs;
    this.metrics = metrics;
    if (same && this.begun) return this.live();
    this.begun = true;
    this.fillBar();
    this.fillSide();
    this.layOut();
    this.apply();
  }

  fillSide() {
    this.side.hidden = this.runs.length < 2;
    const hidden = this.hidden();
    this.side.replaceChildren(h("h3", {}, `${Math.min(this.runs.length, MOST_RUNS)} runs`), this.runs.length > MOST_RUNS ? h("p", {}, `The first ${MOST_RUNS} of ${this.runs.length}.`) : "",
      h("ul", {}, ...this.runs.slice(0, MOST_RUNS).map((run, n) => {
        const box = h("input", { type: "checkbox", checked: !hidden.has(run.id) });
        const swatch = h("i", { class: "swatch", style: { background: colour(n) } });
        box.addEventListener("change", () => {
          const now = this.hidden();
          if (box.checked) now.delete(run.id);
          else now.add(run.id);
          this.params.set({ hide: [...now] });
          this.apply();
        });
        return h("li", {}, h("label", { title: run.name }, box, swatch, h("span", {}, run.name)));
      })));
  }

  sections() {
    const specs = [];
    for (const text of this.params.all("chart")) {
      try {
        const metrics = JSON.parse(text).map(String);
        if (metrics.length) specs.push({ id: text, title: metrics.join(", "), metrics, own: true });
      } catch { /* a link that somebody has cut short */ continue; }
    }
    for (const key of this.metrics) specs.push({ id: key, title: key, metrics: [key], own: false });
    const search = this.params.get("metrics") || "";
    const pins = this.params.all("pin"), order = this.params.all("order");
    const found = new Map();
    const prefixOf = (title) => (title.includes("/") ? title.slice(0, title.indexOf("/")) : "");
    const sizes = new Map();
    for (const { title } of specs) sizes.set(prefixOf(title), (sizes.get(prefixOf(title)) || 0) + 1);
    const rank = (list, spec) => { const at = list.indexOf(spec.id); return at < 0 ? list.length : at; };
    for (const spec of specs) {
      if (search && !spec.metrics.some((key) => matches(key, search))) continue;
      // One chart alone makes no section.
      const prefix = (sizes.get(prefixOf(spec.title)) || 0) > 1 ? prefixOf(spec.title) : "";
      const name = pins.includes(spec.id) ? "Pinned" : spec.own ? "Put together" : prefix;
      found.set(name, [...(found.get(name) || []), spec]);
    }
    for (const [name, list] of found) list.sort((a, b) => rank(name === "Pinned" ? pins : order, a) - rank(name === "Pinned" ? pins : order, b));
    const place = (name) => (name === "Pinned" ? 0 : name === "Put together" ? 1 : name === "" ? 2 : name === "system" ? 4 : 3);
    return [...found].sort(([a], [b]) => place(a) - place(b) || byName(a, b));
  }

  layOut() {
    const sections = this.sections();
    const wanted = new Set(sections.flatMap(([, specs]) => specs.map((spec) => spec.id)));
    for (const [id, slot] of this.slots) {
      if (wanted.has(id)) continue;
      this.drop(slot);
      this.slots.delete(id);
    }
    const closed = new Set([...this.grid.querySelectorAll("details.charts-section:not([open])")].map((one) => one.getAttribute("data-name")));
    this.grid.replaceChildren(...sections.map(([name, specs]) => h("details", { class: "charts-section", open: !closed.has(name), "data-name": name },
      h("summary", {}, h("h3", {}, name || "Metrics"), h("span", { class: "count" }, String(specs.length))),
      h("div", { class: specs.length < 3 ? "chart-grid few" : "chart-grid" }, ...specs.map((spec) => this.slot(spec).place)))));
    if (!sections.length) {
      this.grid.replaceChildren(h("p", { class: "empty" }, this.metrics.length ? "No metric has this in its name." : this.runs.length ? "No metrics are logged yet. mlflow.log_metric(\"loss\", 0.5, step=1) makes a curve; it shows here within two seconds." : "Choose runs to see their curves."));
    }
  }

  slot(spec) {
    let slot = this.slots.get(spec.id);
    const pinned = this.params.all("pin").includes(spec.id);
    if (slot && slot.place.dataset.pinned !== String(pinned)) {
      this.drop(slot);
      slot = undefined;
    }
    if (!slot) {
      const place = h("div", { class: "chart-slot", "data-pinned": String(pinned), "data-chart": spec.id }, h("div", { class: "chart-title" }, spec.title));
      slot = { spec, place, card: null, chart: null, seen: false };
      this.slots.set(spec.id, slot);
      this.eye.observe(place);
      this.arrange(place);
    }
    slot.place.classList.toggle("big", !!this.own(spec.id).big);
    return slot;
  }

  drop(slot) {
    this.eye.unobserve(slot.place);
    slot.card?.destroy();
    slot.card = slot.chart = null;
    this.slots.delete(slot.spec.id);
  }

  /** A chart is made when its place comes near the window, and updated only while it is there. */
  see(entry) {
    const slot = this.slots.get(entry.target.dataset.chart || "");
    if (!slot || slot.place !== entry.target) return;
    slot.seen = entry.isIntersecting;
    if (!slot.seen) return;
    if (!slot.chart) this.make(slot);
    else this.update(slot);
  }

  make(slot) {
    const { id, metrics, title, own } = slot.spec;
    const chart = slot.chart = new LineChart(metrics, {
      onView: (view) => this.change(id, { x: view.x, y: view.y }),
      onState: (text) => { card.note.textContent = text; },
    });
    const card = slot.card = new Card(title, chart, {
      pinned: this.params.all("pin").includes(id),
      pin: (on) => { this.params.set({ pin: on ? [...this.params.all("pin"), id] : this.params.all("pin").filter((one) => one !== id) }); this.layOut(); },
      entries: () => this.entries(slot, own),
    });
    const handle = card.el.querySelector(".chart-head");
    handle.addEventListener("pointerdown", (event) => { slot.place.draggable = !/** @type {Element} */ (event.target).closest("button,details"); });
    handle.addEventListener("pointerup", () => { slot.place.draggable = false; });
    slot.place.replaceChildren(card.el);
    this.update(slot);
  }

  entries(slot, removable) {
    const { id } = slot.spec;
    const own = this.own(id);
    const flag = (label, name) => ({ label, checked: !!own[name], act: () => {
      // A zoom means numbers of one kind of axis.
      this.change(id, { [name]: own[name] ? 0 : 1, ...(name === "big" ? {} : { x: null, y: null }) });
      slot.place.classList.toggle("big", !!this.own(id).big);
      this.update(slot);
    } });
    return [flag("Log y axis", "ly"), flag("Log x axis", "lx"), flag(this.params.get("clip") === "1" ? "Show outliers" : "Clip outliers", "clip"), flag("Large", "big"),
      { label: "Show all (0)", act: () => slot.chart?.frame.reset() },
      { label: "Move forward", act: () => this.move(id, -1) }, { label: "Move back", act: () => this.move(id, 1) },
      ...(removable ? [{ label: "Remove chart", act: () => { this.params.set({ chart: this.params.all("chart").filter((one) => one !== id), [`c.${id}`]: null, pin: this.params.all("pin").filter((one) => one !== id) }); this.layOut(); } }] : [])];
  }

  update(slot) {
    const { id } = slot.spec;
    const own = this.own(id);
    slot.chart?.set(this.shownRuns(), this.options(id), { x: own.x || null, y: own.y || null });
  }

  /** Settings have changed. */
  apply() {
    this.bandLabel.hidden = this.groupLabel.hidden || !this.params.get("group");
    for (const slot of this.slots.values()) if (slot.seen) this.update(slot);
  }

  /** Something was written somewhere. */
  live() {
    for (const slot of this.slots.values()) if (slot.seen) slot.chart?.load();
  }

  // Arranging

  move(id, by, before = null) {
    const section = this.sections().find(([, specs]) => specs.some((spec) => spec.id === id));
    if (!section) return;
    const ids = section[1].map((spec) => spec.id);
    const from = ids.indexOf(id);
    const to = before === null ? Math.min(Math.max(from + by, 0), ids.length - 1) : ids.indexOf(before);
    if (to < 0) return;
    ids.splice(to, 0, ids.splice(from, 1)[0]);
    if (section[0] === "Pinned") {
      this.params.set({ pin: ids });
    } else {
      // Only as far as somebody has arranged them; the rest goes by name.
      const order = this.params.all("order");
      const last = Math.max(from, to, ...order.map((one) => ids.indexOf(one)));
      this.params.set({ order: [...order.filter((one) => !ids.includes(one)), ...ids.slice(0, last + 1)] });
    }
    this.layOut();
  }

  arrange(place) {
    place.addEventListener("dragstart", (event) => { event.dataTransfer?.setData("text/x-chart", place.dataset.chart || ""); });
    place.addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("text/x-chart")) event.preventDefault(); });
    place.addEventListener("drop", (event) => {
      const id = event.dataTransfer?.getData("text/x-chart");
      if (!id) return;
      event.preventDefault();
      this.move(id, 0, place.dataset.chart || "");
    });
  }
}

/** The group of a run: the value of ``params:key`` or ``tags:key``. */
function groupOf(run, by) {
  const at = by.indexOf(":");
  const key = by.slice(at + 1);
  const value = (by.startsWith("tags:") ? run.tags : run.params).get(key);
  return value === undefined ? `no ${key}` : `${key} = ${value}`;
}

const byName = new Intl.Collator(undefined, { numeric: true }).compare;

/** Whether a key has the text in it; every word of it, in any case. */
function matches(key, text) {
  const low = key.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => low.includes(word));
}
