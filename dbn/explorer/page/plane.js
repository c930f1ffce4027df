// The plane of points: drawing, moving, zooming, choosing.

const plane = byId("plane");
const tip = byId("tip");
const MARGIN = 18;  // CSS pixels around the points
const REACH = {mouse: 12, pen: 16, touch: 26};  // how far from a point a pointer may be
const MOST_ZOOM = 60;
const MOVE_MILLISECONDS = 900;

const views = data.views.map((view) => {
  const at = unpacked(view.at).values;
  return Float32Array.from(at, (value, i) => (i % 2 ? 65535 - value : value) / 65535);  // up is up
});
const shown = new Set(data.genres.keys());
let at = views[0].slice();  // where the points are now, [x, y] of each, in a unit square
let zoom = {scale: 1, x: 0, y: 0};
let chosen = -1;
let hovered = -1;
let moving = 0;

// --- outlines of the markers, around 0 with a radius of 1; filled where the genre was given, open where it is an answer

const OUTLINES = [
  null,  // a circle
  [[-.85, -.85], [.85, -.85], [.85, .85], [-.85, .85]],
  [[0, -1.15], [1.1, .8], [-1.1, .8]],
  [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
  [[0, 1.15], [1.1, -.8], [-1.1, -.8]],
  [[-.4, -1.15], [.4, -1.15], [.4, -.4], [1.15, -.4], [1.15, .4], [.4, .4], [.4, 1.15], [-.4, 1.15], [-.4, .4],
   [-1.15, .4], [-1.15, -.4], [-.4, -.4]],
  star(4, .45), star(5, .5),
  [[-1.15, 0], [.8, -1.1], [.8, 1.1]],
  [[-1.2, -.5], [1.2, -.5], [1.2, .5], [-1.2, .5]],
];

function star(corners, inner) {
  return Array.from({length: 2 * corners}, (_, i) => {
    const radius = i % 2 ? inner * 1.35 : 1.35;
    return [radius * Math.sin(Math.PI * i / corners), -radius * Math.cos(Math.PI * i / corners)];
  });
}

function drawMarker(context, x, y, size, genre, isAnswer) {
  const outline = OUTLINES[(genre + Math.floor(genre / 10)) % 10];
  context.beginPath();
  if (outline) {
    outline.forEach(([dx, dy]) => context.lineTo(x + size * dx, y + size * dy));
    context.closePath();
  } else {
    context.arc(x, y, size, 0, 2 * Math.PI);
  }
  if (isAnswer) {
    context.strokeStyle = colourOf(genre);
    context.lineWidth = 1.6;
    context.stroke();
  } else {
    context.fillStyle = colourOf(genre);
    context.fill();
  }
}

// --- from the unit square to the canvas ---

function screenOf(i) {
  const width = plane.clientWidth, height = plane.clientHeight;
  const side = Math.min(width, height) - 2 * MARGIN;
  return [width / 2 + (at[2 * i] - .5) * side * zoom.scale + zoom.x,
          height / 2 + (at[2 * i + 1] - .5) * side * zoom.scale + zoom.y];
}

const isShown = (i) => shown.has(data.songs[points.song[i]].genre);

function drawPlane() {
  const {context, width, height} = prepared(plane);
  const size = Math.min(9, 4.2 * Math.sqrt(Math.min(width, height) / 620) * Math.pow(zoom.scale, .35));
  for (let i = 0; i < points.length; i++) {
    const [x, y] = screenOf(i);
    if (x < -20 || y < -20 || x > width + 20 || y > height + 20) {
      continue;
    }
    const song = data.songs[points.song[i]];
    context.globalAlpha = isShown(i) ? .9 : .07;
    drawMarker(context, x, y, size, song.genre, song.isAnswer);
  }
  context.globalAlpha = 1;
  if (chosen >= 0) {  // thin rings: other frames of the same song
    context.strokeStyle = textColour();
    for (let i = 0; i < points.length; i++) {
      if (points.song[i] === points.song[chosen]) {
        drawRing(context, i, size + 3, i === chosen ? 3 : 1);
      }
    }
  }
  if (hovered >= 0) {
    context.strokeStyle = textColour();
    drawRing(context, hovered, size + 4, 1.5);
  }
}

function drawRing(context, i, radius, lineWidth) {
  const [x, y] = screenOf(i);
  context.lineWidth = lineWidth;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}

let isAsked = false;
function redraw() {  // once before the next picture, however often it is asked for
  if (!isAsked) {
    isAsked = true;
    requestAnimationFrame(() => { isAsked = false; drawPlane(); });
  }
}

// --- zoom: about a place on the canvas, which stays where it is ---

function zoomBy(factor, x = plane.clientWidth / 2, y = plane.clientHeight / 2) {
  const scale = Math.min(MOST_ZOOM, Math.max(1, zoom.scale * factor));
  const ratio = scale / zoom.scale;
  const fromX = x - plane.clientWidth / 2, fromY = y - plane.clientHeight / 2;
  setZoom(scale, fromX - (fromX - zoom.x) * ratio, fromY - (fromY - zoom.y) * ratio);
}

function setZoom(scale, x, y) {
  const farthest = (length) => Math.max(0, (scale - 1) / 2 * length + length * .25) * (scale > 1);
  const within = (value, length) => Math.min(farthest(length), Math.max(-farthest(length), value));
  zoom = {scale, x: within(x, plane.clientWidth), y: within(y, plane.clientHeight)};
  plane.style.touchAction = scale > 1 ? "none" : "pan-y";  // unzoomed, a finger scrolls the page past the plane
  hideTip();
  redraw();
}

const showAll = () => setZoom(1, 0, 0);

// --- another view: the points move there, or are there at once where no motion is wanted ---

function showView(number) {
  const from = at.slice(), to = views[number], began = performance.now();
  const turn = ++moving;
  showAll();
  const step = (now) => {
    if (turn !== moving) {
      return;  // yet another view was asked for
    }
    const share = stillness.matches ? 1 : Math.min(1, Math.max(0, now - began) / MOVE_MILLISECONDS);
    const eased = share * share * (3 - 2 * share);
    at = share === 1 ? to.slice() : from.map((value, i) => value + eased * (to[i] - value));
    drawPlane();
    if (share < 1) {
      requestAnimationFrame(step);
    }
  };
  step(began);
}

// --- choosing ---

function nearest(x, y, reach) {
  let best = -1, least = reach * reach;
  for (let i = 0; i < points.length; i++) {
    const [px, py] = screenOf(i);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance <= least && isShown(i)) {
      best = i;
      least = distance;
    }
  }
  return best;
}

function choose(i) {
  chosen = i;
  const song = data.songs[points.song[i]];
  showChosen(i);
  byId("status").textContent = `${song.name}, ${genreText(song)}, at ${clock(points.time[i])}. ${networkSays(i)}`;
  redraw();
}

// The next point in a direction: near, and rather ahead than aside.
function step(dx, dy) {
  if (chosen < 0) {
    const first = nearest(plane.clientWidth / 2, plane.clientHeight / 2, 1e6);
    return first >= 0 && choose(first);
  }
  const [x, y] = screenOf(chosen);
  let best = -1, least = Infinity;
  for (let i = 0; i < points.length; i++) {
    const [px, py] = screenOf(i);
    const ahead = (px - x) * dx + (py - y) * dy, aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    if (i !== chosen && isShown(i) && ahead > .5 && aside <= ahead && ahead + 2 * aside < least) {
      best = i;
      least = ahead + 2 * aside;
    }
  }
  if (best >= 0) {
    choose(best);
    const [px, py] = screenOf(best);
    const outside = (value, length) => Math.max(0, MARGIN - value) - Math.max(0, value - length + MARGIN);
    setZoom(zoom.scale, zoom.x + outside(px, plane.clientWidth), zoom.y + outside(py, plane.clientHeight));
  }
}

// --- the text beside the pointer ---

function hover(x, y, reach) {
  const found = nearest(x, y, reach);
  if (found !== hovered) {
    hovered = found;
    redraw();
  }
  if (found < 0) {
    return hideTip();
  }
  const song = data.songs[points.song[found]];
  tip.textContent = `${song.name} · ${genreText(song)} · ${clock(points.time[found])}`;
  tip.hidden = false;
  const [px, py] = screenOf(found);
  tip.style.left = `${Math.max(0, Math.min(px + 14, plane.clientWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${py + 16 + tip.offsetHeight > plane.clientHeight ? py - tip.offsetHeight - 12 : py + 16}px`;
}

function hideTip() {
  tip.hidden = true;
  if (hovered >= 0) {
    hovered = -1;
    redraw();
  }
}

// --- pointers: one moves the plane, two zoom it, one that did not move chooses ---

const pointers = new Map();
let dragged = 0;

const placeOf = (event) => {
  const box = plane.getBoundingClientRect();
  return [event.clientX - box.left - plane.clientLeft, event.clientY - box.top - plane.clientTop];
};

plane.addEventListener("pointerdown", (event) => {
  plane.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, placeOf(event));
  dragged = pointers.size > 1 ? Infinity : 0;
});

plane.addEventListener("pointermove", (event) => {
  const place = placeOf(event);
  const before = pointers.get(event.pointerId);
  if (!before) {
    return hover(...place, REACH[event.pointerType] ?? REACH.mouse);
  }
  const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  dragged += Math.hypot(place[0] - before[0], place[1] - before[1]);
  if (other) {
    const apart = (a) => Math.max(10, Math.hypot(a[0] - other[0], a[1] - other[1]));
    zoomBy(apart(place) / apart(before), (place[0] + other[0]) / 2, (place[1] + other[1]) / 2);
  }
  if (dragged > 4) {
    const share = other ? .5 : 1;
    setZoom(zoom.scale, zoom.x + share * (place[0] - before[0]), zoom.y + share * (place[1] - before[1]));
  }
  pointers.set(event.pointerId, place);
});

plane.addEventListener("pointerup", (event) => {
  const wasTap = pointers.delete(event.pointerId) && dragged <= 4;
  const found = wasTap ? nearest(...placeOf(event), REACH[event.pointerType] ?? REACH.mouse) : -1;
  if (found >= 0) {
    choose(found);
    playClip(found);
  }
});

plane.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
plane.addEventListener("pointerleave", hideTip);

plane.addEventListener("wheel", (event) => {
  if (event.deltaY > 0 && zoom.scale === 1) {
    return;  // nothing to zoom out of: the page scrolls
  }
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0016)), ...placeOf(event));
}, {passive: false});

const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  "+": () => zoomBy(1.4), "=": () => zoomBy(1.4), "-": () => zoomBy(1 / 1.4), 0: showAll,
  Enter: playChosen, " ": playChosen, Escape: () => clip.pause(),
};

plane.addEventListener("keydown", (event) => {
  const action = KEYS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  event.preventDefault();
  if (typeof action === "function") {
    action();
  } else if (event.shiftKey) {
    setZoom(zoom.scale, zoom.x - 60 * action[0], zoom.y - 60 * action[1]);
  } else {
    step(...action);
  }
});

function playChosen() {
  if (chosen >= 0) {
    playClip(chosen);
  }
}

byId("zoom-in").addEventListener("click", () => zoomBy(1.6));
byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.6));
byId("zoom-reset").addEventListener("click", showAll);

// --- what is above and below the plane: views and genres ---

function choice(type, group, text, isChecked, onChange) {
  const label = document.createElement("label"), input = document.createElement("input");
  const span = document.createElement("span");
  Object.assign(input, {type, name: group, checked: isChecked});
  input.addEventListener("change", () => onChange(input.checked));
  span.append(text);
  label.append(input, span);
  byId(group).append(label);
  return span;
}

data.views.forEach((view, i) => choice("radio", "views", view.name, i === 0, () => showView(i)));

const swatches = data.genres.map((genre, i) => {
  const swatch = document.createElement("canvas");
  choice("checkbox", "genres", genre, true, (isOn) => {
    shown[isOn ? "add" : "delete"](i);
    redraw();
  }).prepend(swatch);
  return swatch;
});

repaints.push(drawPlane, () => swatches.forEach((swatch, i) => {
  drawMarker(prepared(swatch).context, 8, 8, 5, i, data.songs.every((song) => song.genre !== i || song.isAnswer));
}));
