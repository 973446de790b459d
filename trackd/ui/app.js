/** The shell: the bar at the top, the view of the URL, the theme, the keyboard, and what is said when the server is away. */

import { ApiError, server } from "./api.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { help, leaveDialogs, say } from "./parts/dialog.js";
import { State, link, start } from "./router.js";
import { showExperiments } from "./views/experiments.js";
import { showRuns } from "./views/runs.js";

/** Paths are MLflow's where it has the same view: its clients print them. The first that fits counts. @type {import("./router.js").Route[]} */
const ROUTES = [
  ["/", () => showExperiments],
  ["/experiments", () => showExperiments],
  ["/experiments/:ids", () => showRuns],
  ["/experiments/:ids/models", () => import("./views/logged_models.js").then((module) => module.showLoggedModels)],
  ["/experiments/:id/models/:model/*", () => import("./views/logged_models.js").then((module) => module.showLoggedModel)],
  ["/experiments/:id/runs/:run/*", () => import("./views/run.js").then((module) => module.showRun)],
  ["/experiments/:ids/*", () => showRuns],
  ["/compare", () => import("./views/compare.js").then((module) => module.showCompare)],
  ["/compare-runs", () => import("./views/compare.js").then((module) => module.showCompare)],
  ["/models", () => import("./views/models.js").then((module) => module.showModels)],
  ["/models/:name/versions/:version", () => import("./views/model.js").then((module) => module.showModelVersion)],
  ["/models/:name", () => import("./views/model.js").then((module) => module.showModel)],
  ["/prompts", () => import("./views/models.js").then((module) => module.showPrompts)],
  ["/prompts/:name", () => import("./views/model.js").then((module) => module.showPrompt)],
  ["/trash", () => import("./views/trash.js").then((module) => module.showTrash)],
];

const main = h("main", { id: "main", tabindex: "-1" });
const banner = h("div", { class: "banner", role: "status", "aria-live": "polite", hidden: true });
const nav = h("nav", { "aria-label": "Sections" }, [["Experiments", ""], ["Models", "models"], ["Prompts", "prompts"], ["Trash", "trash"]].map(
  ([words, path]) => h("a", { href: path ? link(path) : "#/", "data-section": path }, words)));

document.body.append(
  h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => { event.preventDefault(); main.focus(); } }, "Skip to content"),
  h("header", { class: "top" },
    h("a", { class: "brand", href: "#/", "aria-label": "trackd, home" }, icon("curve"), h("span", {}, "trackd")), nav,
    h("span", { class: "grow" }),
    iconButton("theme", "Dark or light", turn),
    h("button", { type: "button", class: "icon-button", title: "Help: keyboard and filters (?)", "aria-label": "Help", onclick: help }, "?")),
  banner, main);

// Views

/** @type {AbortController} */ let current = new AbortController();
/** Whether the view that is there could not be shown. */ let failed = false;

const again = start(ROUTES, async (load, params, path) => {
  current.abort();
  leaveDialogs();
  const leaving = current = new AbortController();
  const { signal } = leaving;
  failed = false;
  const section = path.split("/")[1];
  for (const each of nav.children) {
    const here = each.getAttribute("data-section") === (section === "experiments" || section === "compare" ? "" : section);
    if (here) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  const el = h("div", { class: "view" });
  fill(main, el);
  scrollTo(0, 0);
  const title = (/** @type {string} */ text) => { document.title = text ? `${text} · trackd` : "trackd"; };
  title("");
  try {
    if (!load) throw new ApiError(404, "", `There is no page at ${path}.`);
    const show = await load();
    if (!signal.aborted) await show({ el, params, state: new State(), signal, title });
  } catch (error) {
    if (!signal.aborted) fill(el, apology(error));
  }
});

/** Why a view cannot be shown, in words. */
function apology(/** @type {unknown} */ error) {
  failed = error instanceof ApiError && !error.status;
  const missing = error instanceof ApiError && error.status === 404;
  const words = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ApiError)) console.error(error);
  return h("div", { class: "empty", role: "alert" },
    h("h1", {}, missing ? "Not here" : "This could not be shown"), h("p", {}, words),
    h("p", {}, h("button", { type: "button", onclick: () => again() }, icon("refresh"), "Try again"), " ", h("a", { class: "button", href: "#/" }, "All experiments")));
}

// What goes wrong outside of a view's start, such as a button's request, is said where it is seen.
addEventListener("unhandledrejection", (event) => {
  const { reason } = event;
  if (reason instanceof DOMException && reason.name === "AbortError") event.preventDefault();
  else if (reason instanceof ApiError) {
    event.preventDefault();
    if (reason.status) say(reason.message, true);
  }
});

// The server goes away and comes back

server.addEventListener("away", () => {
  fill(banner, "The server does not answer. What is shown may be old; this page goes on by itself when it is back.");
  banner.hidden = false;
});
server.addEventListener("back", () => {
  banner.hidden = true;
  if (failed) again();
});

// The theme: the system's, until somebody chooses

const THEMES = ["dark", "light"];
function apply(/** @type {string | null} */ theme) {
  if (theme && THEMES.includes(theme)) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
function turn() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = dark ? "light" : "dark";
  localStorage.setItem("trackd.theme", theme);
  apply(theme);
}
apply(localStorage.getItem("trackd.theme"));

// The keyboard

addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const writes = target.matches("input:not([type=checkbox], [type=range], [type=radio]), textarea, select, [contenteditable]");
  if (event.ctrlKey || event.metaKey || event.altKey || writes || document.querySelector("dialog[open]")) return;
  if (event.key === "?") help();
  else if (event.key === "/") {
    const field = [...document.querySelectorAll("[data-search]")].find((each) => each.checkVisibility());
    if (!(field instanceof HTMLElement)) return;
    field.focus();
  } else return;
  event.preventDefault();
});
