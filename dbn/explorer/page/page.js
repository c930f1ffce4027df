// What all parts of the page share: the data, colours, canvases, bars. Other scripts follow; none knows the network.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// An array of page.py: {type, shape, bytes} -> typed array, with the length of its rows.
function unpacked(packed) {
  const text = atob(packed.bytes);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const kinds = {uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array};
  return {values: new kinds[packed.type](bytes.buffer), width: packed.shape[1] ?? 1, length: packed.shape[0]};
}

const row = (array, i) => array.values.subarray(i * array.width, (i + 1) * array.width);

const points = {
  length: data.points.time.length,
  time: data.points.time,
  song: unpacked(data.points.song).values,
  spectrum: unpacked(data.points.spectrum),
  units: unpacked(data.points.units),
  probability: unpacked(data.points.probability),
};

// --- colours: ten of different hue and lightness for each background, and ten outlines; the pairs repeat after 100 ---

const COLOURS = {
  light: ["#332288", "#b07d00", "#117733", "#d0465e", "#2f8fce", "#882255", "#1f9e89", "#b04ab0", "#7a7a1e", "#111111"],
  dark: ["#918aff", "#ffc94d", "#5fd37a", "#ff7d8f", "#6fc0ff", "#d6609a", "#4fe0c8", "#e29bff", "#a3a83a", "#ffffff"],
};

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const repaints = [];  // functions that draw what depends on the colours or the width
let isDark = systemIsDark.matches;

const colourOf = (genre) => COLOURS[isDark ? "dark" : "light"][genre % 10];

function setTheme(dark) {
  isDark = dark;
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(dark));
  repaints.forEach((repaint) => repaint());
}

const ink = (name) => getComputedStyle(byId(name));  // what canvases take their text colour from
const textColour = () => ink("plane-title").color;
const softColour = () => ink("keys").color;
const lineColour = () => ink("plane").borderTopColor;
const pageColour = () => ink("plane").backgroundColor;

// From nothing to everything: as the background, then a single hue that leaves it.
function heat(value) {
  const [from, to] = isDark ? [[28, 34, 44], [160, 205, 255]] : [[240, 243, 248], [16, 52, 120]];
  const share = value / 255;
  return from.map((start, i) => Math.round(start + share * (to[i] - start)));
}

// --- a canvas at the screen's own resolution: its context, with a CSS pixel as the unit, its width and height ---

function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const {clientWidth: width, clientHeight: height} = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return {context, width, height};
}

const FONT = '12px system-ui, "Liberation Sans", Arial, sans-serif';

// --- lists of bars, one a class ---

function makeBars(list, names) {
  list.replaceChildren(...names.map((name) => {
    const item = document.createElement("li");
    for (const part of ["name", "bar", "value"]) {
      const span = document.createElement("span");
      span.className = part;
      item.append(span);
    }
    item.children[0].textContent = item.children[0].title = name;
    item.children[1].append(document.createElement("i"));
    return item;
  }));
}

function setBars(list, values) {
  values.forEach((value, i) => {
    list.children[i].children[1].firstChild.style.width = `${value / 2.55}%`;
    list.children[i].children[2].textContent = (value / 255).toFixed(2);
  });
}

// --- words ---

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}${(seconds - whole).toFixed(1).slice(1)}`;
}

const genreText = (song) => data.genres[song.genre] + (song.isAnswer ? " (the network's answer; no genre was given)" : "");

byId("about").textContent = `${points.length.toLocaleString("en")} frames of ` +
  `${new Set(points.song).size.toLocaleString("en")} songs; a network of ${data.layers.join(", ")} hidden units.`;
byId("synthetic").hidden = !data.synthetic;
byId("theme").addEventListener("click", () => setTheme(!isDark));
systemIsDark.addEventListener("change", (event) => setTheme(event.matches));
window.addEventListener("resize", () => repaints.forEach((repaint) => repaint()));
