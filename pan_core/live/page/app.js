// One WebSocket brings figures as JSON and pictures as JPEG, which begin with the number of their camera.

const $ = (id) => document.getElementById(id);
const cards = new Map();
const events = new Map();
const percent = (share) => `${Math.round(100 * share)} %`;
const textOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function put(element, text) {
  // Unchanged text is left alone, so that screen readers stay quiet.
  if (element.textContent !== text) element.textContent = text;
}

// Dark and light.
const theme = $("theme");
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  const dark = name ? name === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme.setAttribute("aria-pressed", String(dark));
  return dark;
}
let dark = setTheme(localStorage.getItem("pan.theme"));
theme.addEventListener("click", () => {
  localStorage.setItem("pan.theme", dark ? "light" : "dark");
  dark = setTheme(localStorage.getItem("pan.theme"));
});

// Cameras.
function card(number) {
  if (!cards.has(number)) {
    const element = $("camera").content.firstElementChild.cloneNode(true);
    $("cameras").append(element);
    cards.set(number, { element, people: new Map(), picture: element.querySelector("img") });
  }
  return cards.get(number);
}

function showPicture(number, blob) {
  const { picture } = card(number);
  const old = picture.src;
  picture.src = URL.createObjectURL(blob);
  if (old) URL.revokeObjectURL(old);
}

function showCamera(told) {
  const { element, people, picture } = card(told.camera);
  element.dataset.state = told.state;
  put(element.querySelector("h3"), told.name);
  const chip = element.querySelector(".state");
  chip.dataset.state = told.state;
  put(chip, told.state);
  put(element.querySelector(".reason"), told.reason);
  const figures = [`${told.frames} frames`, `${told.dropped} dropped`];
  if (told.p90_ms !== null) figures.unshift(`frame to caption p90 ${told.p90_ms} ms`);
  if (told.losses) figures.push(`lost ${told.losses} times`);
  put(element.querySelector(".figures"), figures.join(", "));
  picture.alt = told.people.length
    ? `${told.name}: ` + told.people.map((one) => `person ${one.person} ${one.caption}`).join(", ")
    : `${told.name}: nobody in sight`;
  const seen = new Set(told.people.map((one) => one.person));
  for (const [person, panel] of people) if (!seen.has(person)) { panel.remove(); people.delete(person); }
  for (const one of told.people) showPerson(element.querySelector(".people"), people, one);
  showEvents(told);
}

function showPerson(parent, people, one) {
  if (!people.has(one.person)) {
    const panel = $("person").content.firstElementChild.cloneNode(true);
    panel.style.setProperty("--colour", one.colour);
    parent.append(panel);
    people.set(one.person, panel);
  }
  const panel = people.get(one.person);
  put(panel.querySelector("b"), `Person ${one.person}:`);
  put(panel.querySelector(".caption"), one.caption ? `${one.caption} ${percent(one.confidence)}` : "no known action");
  const list = panel.querySelector(".top");
  while (list.children.length > one.top.length) list.lastChild.remove();
  one.top.forEach(([name, share], row) => {
    if (!list.children[row]) {
      const line = document.createElement("li");
      line.append(document.createElement("span"), document.createElement("i"), document.createElement("span"));
      list.append(line);
    }
    const [label, bar, value] = list.children[row].children;
    put(label, name);
    label.title = name;
    bar.style.width = `${100 * share}%`;
    put(value, percent(share));
  });
  drawStrip(panel.querySelector("canvas"), one.strip);
}

function drawStrip(canvas, strip) {
  const width = canvas.clientWidth * devicePixelRatio, height = 28 * devicePixelRatio;
  if (canvas.width !== Math.round(width)) canvas.width = Math.round(width);
  if (canvas.height !== Math.round(height)) canvas.height = Math.round(height);
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = textOf("--line");
  pen.fillRect(0, canvas.height - 1, canvas.width, 1);
  pen.fillStyle = textOf("--bar");
  const most = Math.max(...strip, 1e-9), slot = canvas.width / Math.max(strip.length, 60);
  strip.forEach((share, place) => {
    const tall = (share / most) * (canvas.height - 2);
    pen.fillRect(canvas.width - (strip.length - place) * slot, canvas.height - tall - 1, Math.max(1, slot - 1), tall);
  });
  canvas.setAttribute("aria-label", `Pose attention of the last ${strip.length} poses; the most on one is ${percent(Math.min(most, 1))}`);
}

// Events.
function showEvents(told) {
  let changed = false;
  for (const event of told.events) {
    const before = events.get(event.id);
    if (before && before.end_s === event.end_s) continue;
    events.set(event.id, { ...event, number: told.camera });
    changed = true;
    if (!before) put($("news"), `${event.label}, person ${event.person}, ${event.camera}`);
  }
  if (!changed) return;
  while (events.size > 200) events.delete(events.keys().next().value);
  const focused = document.activeElement?.dataset?.event;
  const rows = [...events.values()].reverse().map(eventRow);
  $("event-list").replaceChildren(...rows);
  if (focused) document.querySelector(`[data-event="${focused}"]`)?.focus();
  $("no-event").hidden = true;
  $("event-table").hidden = false;
}

function eventRow(event) {
  const row = document.createElement("tr");
  const over = event.end_s !== null;
  row.classList.toggle("on", !over);
  const when = event.start ? new Date(event.start).toLocaleTimeString() : `${event.start_s.toFixed(1)} s`;
  const length = over ? `${when}, for ${(event.end_s - event.start_s).toFixed(1)} s` : when;
  const who = `person ${event.person}${cards.size > 1 ? ` at ${event.camera}` : ""}`;
  for (const text of [event.label, length, who, percent(event.confidence)]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  const cell = document.createElement("td");
  if (over) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Replay";
    button.dataset.event = event.id;
    button.setAttribute("aria-label", `Replay ${event.label} of ${who}, ${length}`);
    button.addEventListener("click", () => openReplay(event));
    cell.append(button);
  }
  row.append(cell);
  return row;
}

// Replay of an event's skeletons.
const dialog = $("replay"), stage = $("stage"), seek = $("seek"), play = $("play");
let film = null, playing = false;

async function openReplay(event) {
  const answer = await fetch(`api/events/${event.number}/${event.id}`).catch(() => null);
  if (!answer?.ok) { put($("news"), "This replay is not kept any more."); return; }
  film = await answer.json();
  $("replay-title").textContent = `${event.label}, person ${event.person}`;
  stage.setAttribute("aria-label", `Skeleton of person ${event.person} during ${event.label}`);
  stage.height = Math.round(stage.width * film.size[1] / film.size[0]);
  seek.max = Math.max(film.times.length - 1, 0);
  seek.value = 0;
  setPlaying(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  dialog.showModal();
  drawPose();
}

function setPlaying(on) {
  playing = on;
  play.textContent = on ? "Pause" : "Play";
  if (on) requestAnimationFrame(begin);
}

function begin(start) {
  const from = film.times[Number(seek.value)] ?? 0;
  const step = (now) => {
    if (!playing || !dialog.open) return;
    const time = from + (now - start) / 1000;
    let place = film.times.findIndex((moment) => moment > time);
    if (place < 0) { seek.value = 0; drawPose(); requestAnimationFrame(begin); return; }
    seek.value = Math.max(place - 1, 0);
    drawPose();
    requestAnimationFrame(step);
  };
  if (film.times.length > 1) requestAnimationFrame(step);
}

function drawPose() {
  const pen = stage.getContext("2d"), scale = stage.width / film.size[0];
  pen.clearRect(0, 0, stage.width, stage.height);
  const joints = film.joints[Number(seek.value)] ?? [];
  pen.lineWidth = 3;
  pen.strokeStyle = pen.fillStyle = "#56b4e9";
  for (const [from, to] of film.bones) {
    if (!joints[from]?.[2] || !joints[to]?.[2]) continue;
    pen.beginPath();
    pen.moveTo(joints[from][0] * scale, joints[from][1] * scale);
    pen.lineTo(joints[to][0] * scale, joints[to][1] * scale);
    pen.stroke();
  }
  for (const [x, y, score] of joints) {
    if (!score) continue;
    pen.beginPath();
    pen.arc(x * scale, y * scale, 4, 0, 7);
    pen.fill();
  }
}
seek.addEventListener("input", () => { setPlaying(false); drawPose(); });
play.addEventListener("click", () => setPlaying(!playing));
$("close").addEventListener("click", () => dialog.close());

// Uploads.
const uploads = new Map();
$("upload").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const file = $("file").files[0];
  if (!file) return;
  put($("upload-fault"), "");
  const button = submitted.target.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(`api/uploads?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    if (!answer.ok) put($("upload-fault"), (await answer.json().catch(() => ({}))).error ?? `refused (${answer.status})`);
    else submitted.target.reset();
  } catch {
    put($("upload-fault"), `${file.name}: the server cannot be reached`);
  }
  button.disabled = false;
  lookAtUploads();
});

let looking = false, again = 0;
async function lookAtUploads() {
  if (looking) return;
  looking = true;
  clearTimeout(again);
  try {
    const answer = await fetch("api/uploads");
    if (!answer.ok) throw new Error(answer.statusText);
    const list = await answer.json();
    const known = new Set(list.map((one) => one.id));
    for (const [id, element] of uploads) if (!known.has(id)) { element.remove(); uploads.delete(id); }
    for (const one of [...list].reverse()) showUpload(one);
    if (list.some((one) => one.state === "waiting" || one.state === "working")) again = setTimeout(lookAtUploads, 500);
  } catch {
    again = setTimeout(lookAtUploads, 3000); // the link says that the server is away
  }
  looking = false;
}

function showUpload(one) {
  let element = uploads.get(one.id);
  if (!element) {
    element = document.createElement("li");
    uploads.set(one.id, element);
    $("uploads").prepend(element);
  }
  if (element.dataset.state !== one.state) {
    element.dataset.state = one.state;
    element.replaceChildren(...uploadParts(one));
  }
  const bar = element.querySelector("progress");
  if (bar) bar.value = one.progress;
}

function uploadParts(one) {
  const head = document.createElement("p");
  head.textContent = `${one.name}: ${one.state}${one.reason ? `, ${one.reason}` : ""}`;
  if (one.state === "failed") head.className = "fault";
  const parts = [head];
  if (one.state === "waiting" || one.state === "working") {
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.setAttribute("aria-label", `${one.name}, progress`);
    parts.push(bar);
  }
  if (one.state === "done") {
    const video = document.createElement("video");
    video.controls = video.muted = video.playsInline = true;
    video.src = `api/uploads/${one.id}/video`;
    video.setAttribute("aria-label", `${one.name}, annotated`);
    parts.push(video, ...one.people.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
    for (const [kind, text, file] of [["video", "Annotated video", "annotated.webm"], ["timeline", "Timeline (JSON)", "timeline.json"]]) {
      parts.push(Object.assign(document.createElement("a"), { href: `api/uploads/${one.id}/${kind}`, download: `${one.name}_${file}`, textContent: text }));
    }
  }
  if (one.state === "done" || one.state === "failed") {
    const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "Delete" });
    remove.setAttribute("aria-label", `Delete ${one.name}`);
    remove.addEventListener("click", async () => {
      await fetch(`api/uploads/${one.id}`, { method: "DELETE" }).catch(() => {});
      lookAtUploads();
    });
    parts.push(remove);
  }
  return parts;
}

// The link to the server; it is made again when it breaks.
let pause = 500;
function link(state) {
  $("link").dataset.state = state;
  put($("link"), state === "live" ? "connected" : "server away, trying again");
}

function connect() {
  const channel = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  channel.binaryType = "arraybuffer";
  channel.onopen = () => { pause = 500; link("live"); };
  channel.onmessage = ({ data }) => {
    if (typeof data !== "string") {
      showPicture(new Uint8Array(data)[0], new Blob([data.slice(1)], { type: "image/jpeg" }));
      return;
    }
    const told = JSON.parse(data);
    if (told.kind === "hello") $("no-camera").hidden = told.cameras > 0;
    else { put($("model"), told.model); showCamera(told); }
  };
  channel.onclose = ({ code }) => {
    if (code === 4401) { location.href = "/login"; return; }
    link("lost");
    setTimeout(connect, pause);
    pause = Math.min(2 * pause, 10000);
  };
}
connect();
lookAtUploads();
