/** Dialogs, menus and short messages. */

import { fill, h, icon, iconButton } from "../dom.js";

/** @type {ReturnType<typeof setTimeout>} */ let silence;
const notice = h("div", { class: "notice", role: "status", "aria-live": "polite" });

/** Say something at the edge of the page; `bad` for what went wrong. */
export function say(/** @type {string} */ text, bad = false) {
  clearTimeout(silence);
  document.body.append(notice);
  fill(notice, h("div", { class: bad ? "bad" : "good" }, h("span", {}, text), iconButton("close", "Close", () => fill(notice))));
  silence = setTimeout(() => fill(notice), bad ? 12_000 : 4000);
}

/** Close all dialogs: the view that opened them is left. */
export function leaveDialogs() {
  for (const each of document.querySelectorAll("dialog")) each.close();
}

/**
 * Show a dialog until it is closed. `act` is the main button's; the dialog stays open and says why if that fails.
 * @param {string} title @param {import("../dom.js").Child[]} content
 * @param {{action?: string, danger?: boolean, act?: () => unknown, wide?: boolean}} options
 * @returns {Promise<boolean>} whether `act` was done
 */
export function dialog(title, content, { action = "", danger = false, act, wide = false } = {}) {
  return new Promise((resolve) => {
    let done = false;
    const wrong = h("p", { class: "wrong", role: "alert" });
    const main = h("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
    const form = h("form", { method: "dialog" },
      h("div", { class: "dialog-head" }, h("h2", {}, title), iconButton("close", "Close", () => box.close())),
      h("div", { class: "dialog-body" }, content, wrong),
      action && h("div", { class: "dialog-foot" }, h("button", { type: "button", onclick: () => box.close() }, "Cancel"), main));
    const box = h("dialog", { class: wide ? "wide" : "", "aria-label": title, onclose: () => { box.remove(); resolve(done); } }, form);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      main.disabled = true;
      fill(wrong);
      try {
        await act?.();
        done = true;
        box.close();
      } catch (error) {
        fill(wrong, error instanceof Error ? error.message : String(error));
      } finally {
        main.disabled = false;
      }
    });
    document.body.append(box);
    box.showModal();
    /** @type {HTMLElement | null} */ (box.querySelector("[autofocus], .dialog-body input, .dialog-body textarea"))?.focus();
  });
}

/** Ask before something is done. */
export function confirmed(/** @type {string} */ title, /** @type {string} */ words, /** @type {string} */ action, /** @type {() => unknown} */ act, danger = true) {
  return dialog(title, [h("p", {}, words)], { action, danger, act });
}

/** Ask for a line of text. @param {string} title @param {string} label @param {string} value @param {string} action @param {(text: string) => unknown} act */
export function asked(title, label, value, action, act) {
  const field = h("input", { type: "text", value, autofocus: true, autocomplete: "off", spellcheck: "false" });
  return dialog(title, [h("label", { class: "field" }, h("span", {}, label), field)], { action, act: () => act(field.value) });
}

/**
 * A button that opens a list of what can be done.
 * @typedef {{label: string, act: () => unknown, danger?: boolean, disabled?: boolean}} Entry
 * @param {import("../dom.js").Child[]} face @param {() => Entry[]} entries @param {Record<string, any>} attributes
 */
export function menu(face, entries, attributes = {}) {
  const list = h("div", { class: "menu-list" });
  const el = h("details", { class: "menu" }, h("summary", { class: "button", ...attributes }, face), list);
  const close = () => { el.open = false; };
  el.addEventListener("toggle", () => {
    if (!el.open) return;
    fill(list, entries().map(({ label, act, danger, disabled }) => h("button", { type: "button", class: danger && "danger-text", disabled, onclick: () => { close(); act(); } }, label)));
  });
  el.addEventListener("focusout", (event) => { if (!el.contains(/** @type {Node | null} */ (event.relatedTarget))) close(); });
  // A pressed button takes no focus in some browsers: the menu would close under the pointer.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  el.addEventListener("keydown", (event) => {
    const summary = /** @type {HTMLElement} */ (el.firstChild);
    if (event.key === "Escape" && el.open) {
      event.stopPropagation();
      close();
      summary.focus();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && el.open) {
      event.preventDefault();
      const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("button:not(:disabled)")]);
      const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
      all[(at + (event.key === "ArrowDown" ? 1 : at < 0 ? 0 : -1) + all.length) % all.length]?.focus();
    }
  });
  return el;
}

/** Text with a button that copies it. */
export function copied(/** @type {string} */ text, shown = text) {
  return h("span", { class: "copy" }, h("code", { title: text }, shown), iconButton("copy", "Copy", async () => {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  }));
}

/** What to run first: lines of Python with a button that copies them. */
export function example(/** @type {string} */ code) {
  return h("div", { class: "example" }, h("pre", { tabindex: "0" }, h("code", {}, code)), h("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(code);
    say("Copied.");
  } }, icon("copy"), "Copy"));
}

const KEYS = [
  ["/", "Search or filter in this view"], ["?", "This list"], ["Tab", "The next control; in tables the row one is at"],
  ["↑ ↓ Home End", "Rows of a table or tree"], ["Enter", "Open the row"], ["Space", "Select the row"], ["→ ←", "Open and close a run with nested runs, or a folder"],
  ["Alt + ← →", "On a column's head: make it narrower or wider"], ["Alt + Shift + ← →", "On a column's head: move it"], ["Esc", "Close a dialog, a menu, completions"],
];
const FILTERS = ["metrics.acc > 0.9 AND params.model = 'cnn'", "tags.stage IN ('dev', 'prod') OR NOT params.lr IS NULL", "attributes.status = 'FAILED' AND (metrics.`val/loss` < 1)", "attributes.run_name LIKE '%sweep%'", "dataset.name = 'mnist'"];

/** The keys and the search grammar. */
export function help() {
  return dialog("Keyboard and help", [
    h("dl", { class: "keys" }, KEYS.map(([keys, words]) => [h("dt", {}, keys.split(" ").map((key) => (key === "+" ? " + " : h("kbd", {}, key)))), h("dd", {}, words)]).flat()),
    h("h3", {}, "Filters"), h("p", {}, "MLflow's search grammar, with OR, NOT and parentheses:"), h("ul", { class: "examples" }, FILTERS.map((text) => h("li", {}, h("code", {}, text)))),
  ], { wide: true });
}
