"use strict";

// Rows come from the server and judgements go there; the page itself keeps nothing but the annotator's name.
// Texts are shown with textContent alone: whatever a response says, none of it becomes markup.

const byId = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
const NAME = "plaudit-annotator";
const KEYS = { a: "left", arrowleft: "left", b: "right", arrowright: "right", t: "tie", s: "skip", u: "undo" };
const SAID = { left: "A is better", right: "B is better", tie: "Tie", skip: "Skipped" };
const ROLES = { user: "User", assistant: "Assistant", system: "System", developer: "Developer", tool: "Tool" };

let annotator = null;
let state = null;
let key = null; // of the judgement to come: kept when sending fails, so that it cannot be stored twice
let busy = false;

class Refused extends Error {}

async function call(path, body) {
  const options = { headers: { "X-Label-Token": token } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused(
      "The server does not answer. What you judged before is stored. If it was stopped, start plaudit data label " +
      "again and open the address that it prints; else press the key again."
    );
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const detail = typeof answer.detail === "string" ? answer.detail : "the server refused this";
    throw new Refused(`${detail[0].toUpperCase()}${detail.slice(1)}.`);
  }
  return answer;
}

function complain(message) {
  byId("problem").textContent = message;
  byId("problem").hidden = !message;
}

// -- showing -----------------------------------------------------------------------------------------------------------

function fill(place, turns) {
  place.replaceChildren();
  for (const [role, text] of turns) {
    if (role) {
      const name = document.createElement("div");
      name.className = "role";
      name.textContent = ROLES[role] || role;
      place.append(name);
    }
    const turn = document.createElement("div");
    turn.className = role ? `turn ${role === "user" ? "user" : "other"}` : "turn";
    turn.dir = "auto";
    turn.textContent = text;
    place.append(turn);
  }
}

function show(next) {
  state = next;
  key = crypto.randomUUID();
  const { item, progress, undo } = state;
  const total = progress.done + progress.left;
  byId("bar").max = Math.max(total, 1);
  byId("bar").value = progress.done;
  const skipped = progress.skipped ? ` (${progress.skipped.toLocaleString("en")} skipped)` : "";
  byId("counts").textContent =
    `${progress.done.toLocaleString("en")} done · ${progress.left.toLocaleString("en")} left${skipped}`;
  byId("undo").disabled = !undo;
  byId("last").textContent = undo ? `Last: ${SAID[undo.choice]}` : "";
  byId("actions").hidden = false;
  byId("work").hidden = !item;
  byId("done").hidden = Boolean(item);
  for (const button of document.querySelectorAll("[data-choice]")) {
    if (button.id !== "undo") button.disabled = !item;
  }
  if (!item) {
    byId("done-text").textContent =
      `${progress.done.toLocaleString("en")} judgements by ${annotator} are stored. You can close this page.`;
    byId("done").focus();
    return;
  }
  byId("prompt").hidden = !item.prompt.length;
  for (const [id, turns] of [["prompt-text", item.prompt], ["left-text", item.left], ["right-text", item.right]]) {
    fill(byId(id), turns);
    byId(id).scrollTop = 0;
  }
  if (item.prompt.length > 1) byId("prompt-text").scrollTop = byId("prompt-text").scrollHeight; // what is answered
  byId("work").focus();
}

function flash(choice) {
  const button = document.querySelector(`[data-choice="${choice}"]`);
  button.classList.add("picked");
  setTimeout(() => button.classList.remove("picked"), 200);
}

// -- judging -----------------------------------------------------------------------------------------------------------

async function act(choice) {
  if (busy || !state || document.querySelector("dialog[open]")) return;
  if (choice === "undo" ? !state.undo : !state.item) return;
  busy = true;
  flash(choice);
  try {
    let next;
    if (choice === "undo") {
      next = await call("/api/undo", { annotator, judgement: state.undo.judgement });
      byId("news").textContent = "Taken back.";
    } else {
      next = await call("/api/judgements", { annotator, row: state.item.row, choice, key });
      byId("news").textContent = `${SAID[choice]}. ${next.progress.left} left.`;
    }
    complain("");
    show(next);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    complain(error.message);
  } finally {
    busy = false;
  }
}

function scrollBoth(event) {
  const page = byId("left-text").clientHeight * 0.9;
  const by = { ArrowUp: -60, ArrowDown: 60, PageUp: -page, PageDown: page }[event.key];
  if (by === undefined || document.activeElement?.classList.contains("text")) return;
  for (const side of ["left-text", "right-text"]) byId(side).scrollBy({ top: by });
  event.preventDefault();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    byId("help").showModal();
  } else if (KEYS[event.key.toLowerCase()]) {
    event.preventDefault();
    if (!event.repeat) act(KEYS[event.key.toLowerCase()]); // a key held down judges one row
  } else if (!byId("work").hidden) {
    scrollBoth(event);
  }
});

for (const button of document.querySelectorAll("[data-choice]")) {
  button.addEventListener("click", () => act(button.dataset.choice));
}
byId("help-button").addEventListener("click", () => byId("help").showModal());
byId("help").addEventListener("close", () => (byId("work").hidden ? byId("done") : byId("work")).focus());
byId("name-dialog").addEventListener("cancel", (event) => event.preventDefault()); // a name is needed

// -- starting ----------------------------------------------------------------------------------------------------------

function askName(names) {
  byId("names").replaceChildren(...names.map((name) => Object.assign(document.createElement("option"), { value: name })));
  byId("name").value = localStorage.getItem(NAME) || "";
  byId("name-dialog").showModal();
  return new Promise((resolve) => {
    byId("name-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = byId("name").value.trim().split(/\s+/).join(" ");
      if (!name) return;
      byId("name-dialog").close();
      localStorage.setItem(NAME, name);
      resolve(name);
    });
  });
}

async function start() {
  try {
    const session = await call("/api/session");
    byId("title").textContent = session.title;
    document.title = `${session.title} · plaudit label`;
    annotator = session.annotator || (await askName(session.annotators));
    byId("who").textContent = annotator;
    show(await call(`/api/state?annotator=${encodeURIComponent(annotator)}`));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    complain(error.message);
  }
}

start();
