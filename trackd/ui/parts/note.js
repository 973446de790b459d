/** A note in Markdown that is edited where it stands. Whoever saves second is told what the first has written. */

import { fill, h, icon } from "../dom.js";
import { dialog, say } from "./dialog.js";
import { markdown } from "./markdown.js";

export const NOTE_TAG = "mlflow.note.content";

/**
 * @param {{read: () => Promise<string>, write: (text: string) => Promise<unknown>, text: string, label?: string, editable?: boolean}} options
 * `read` fetches what the server has now
 */
export function noteEditor({ read, write, text, label = "Note", editable = true }) {
  const el = h("section", { class: "note", "aria-label": label });
  let editing = false;

  const show = () => {
    editing = false;
    const edit = h("button", { type: "button", class: "plain", onclick: change }, icon("edit"), text ? `Edit ${label.toLowerCase()}` : `Add a ${label.toLowerCase()}`);
    fill(el, text && markdown(text), editable && edit);
  };

  const change = () => {
    editing = true;
    const base = text;
    const area = h("textarea", { "aria-label": `${label}, in Markdown`, rows: "8" });
    area.value = text;
    const preview = h("div");
    /** @returns {Promise<unknown>} */
    const save = async (/** @type {string} */ expected) => {
      const now = await read();
      if (now !== expected && now !== area.value) return conflict(now);
      if (now !== area.value) await write(area.value);
      text = area.value;
      say("Saved.");
      show();
    };
    const conflict = (/** @type {string} */ theirs) => dialog("Somebody else has changed this note", [
      h("p", {}, "It was changed while you were writing. This is what it says now:"),
      h("pre", { class: "theirs", tabindex: "0" }, theirs || "(nothing)"),
      h("p", {}, "Cancel to go on writing: your text stays. You can take over what you need from theirs, and then save over it."),
    ], { action: "Save mine over it", danger: true, wide: true, act: () => save(theirs) });
    const form = h("form", {}, area, h("div", { class: "bar" },
      h("button", { type: "submit", class: "primary" }, "Save"), h("button", { type: "button", onclick: show }, "Cancel"),
      h("button", { type: "button", onclick: () => fill(preview, markdown(area.value)) }, "Preview"), h("small", {}, "Markdown")), preview);
    form.addEventListener("submit", (event) => { event.preventDefault(); save(base); });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      if (event.key === "Escape" && area.value === base) show();
    });
    fill(el, form);
    area.focus();
  };

  show();
  /** The server's text has changed; what somebody is writing stays. */
  const update = (/** @type {string} */ now) => {
    if (editing || now === text) return;
    text = now;
    show();
  };
  return { el, update };
}
