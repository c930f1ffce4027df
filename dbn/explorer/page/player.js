// A song from start to end: its sound, and under it the activations and the classes' probabilities over time.

const tracks = byId("tracks");
const LABEL = 84, GAP = 10, AXIS = 20;  // CSS pixels left of the picture, between its parts, and below it
let player = -1;
let picture = null;  // the parts of the picture, drawn once a song
let rows = null;

const playerOf = (song) => data.players.findIndex((each) => each.song === song);
const songOf = (number) => data.songs[data.players[number].song];

// Parts from top to bottom: name, first column, columns, height.
function parts() {
  let first = 0;
  const layers = data.layers.map((size, i) => (
    {name: `Layer ${i + 1}`, first: (first += size) - size, size, height: Math.max(50, Math.min(150, size * 1.6))}));
  const height = Math.max(60, 17 * data.classes.length);
  return [...layers, {names: data.classes, first, size: data.classes.length, height}];
}

function openSong(number, seconds = 0) {
  player = number;
  rows = unpacked(data.players[number].rows);
  byId("song").value = String(number);
  const song = songOf(number);
  byId("song-about").textContent = `${genreText(song)}; the network says ${data.classes[song.answer]} ` +
    `(${song.probability.toFixed(2)}).`;
  clip.pause();
  audio.src = song.sound;
  audio.currentTime = seconds;
  tracks.setAttribute("aria-label", `Activations and class probabilities of ${song.name} over ${clock(song.seconds)}`);
  drawSong();
}

function drawSong() {
  if (player < 0) {
    return;
  }
  tracks.style.height = `${parts().reduce((sum, part) => sum + part.height + GAP, AXIS)}px`;
  const colours = Array.from({length: 256}, (_, value) => [...heat(value), 255]);
  picture = parts().map((part) => {
    const image = new ImageData(rows.length, part.size);
    for (let time = 0; time < rows.length; time++) {
      for (let unit = 0; unit < part.size; unit++) {
        const value = rows.values[time * rows.width + part.first + unit];
        image.data.set(colours[value], 4 * (unit * rows.length + time));
      }
    }
    const canvas = document.createElement("canvas");
    canvas.width = rows.length;
    canvas.height = part.size;
    canvas.getContext("2d").putImageData(image, 0, 0);
    return {...part, canvas};
  });
  drawTracks();
}

function drawTracks() {
  if (player < 0) {
    return;
  }
  const {context, width, height} = prepared(tracks);
  const across = width - LABEL, seconds = songOf(player).seconds;
  const covered = rows.length * data.players[player].rowSeconds / seconds * across;
  context.font = FONT;
  context.imageSmoothingEnabled = false;
  context.fillStyle = softColour();
  let top = 0;
  for (const part of picture) {
    context.drawImage(part.canvas, LABEL, top, covered, part.height);
    (part.names ?? [part.name]).forEach((name, i) => {
      context.fillText(shortened(context, name), 0, top + 13 + i * part.height / (part.names?.length ?? 1));
    });
    top += part.height + GAP;
  }
  drawAxis(context, across, seconds, height);
  const x = LABEL + Math.min(1, audio.currentTime / seconds) * across;
  context.fillStyle = colourOf(3);
  context.fillRect(x - 1, 0, 2, height - AXIS);
  showNow();
}

function drawAxis(context, across, seconds, height) {
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300];
  const space = steps.find((each) => each / seconds * across > 44) ?? 600;
  context.textAlign = "center";
  for (let time = 0; time <= seconds - space * .4; time += space) {
    const x = LABEL + time / seconds * across;
    context.fillText(time ? clock(time).slice(0, -2) : "0:00", Math.max(x, LABEL + 12), height - 4);
  }
  context.textAlign = "left";
}

function shortened(context, name) {
  let text = name;
  while (text.length > 1 && context.measureText(text).width > LABEL - 8) {
    text = `${text.slice(0, text.endsWith("…") ? -2 : -1)}…`;
  }
  return text;
}

function showNow() {
  const time = Math.min(rows.length - 1, Math.floor(audio.currentTime / data.players[player].rowSeconds));
  setBars(byId("now"), row(rows, time).subarray(rows.width - data.classes.length));
}

function follow() {
  drawTracks();
  if (!audio.paused && !audio.ended) {
    requestAnimationFrame(follow);
  }
}

// --- going to a place of the song with a pointer; with the keyboard the player's own slider does it ---

function seek(event) {
  const share = (event.clientX - tracks.getBoundingClientRect().left - LABEL) / (tracks.clientWidth - LABEL);
  audio.currentTime = Math.min(1, Math.max(0, share)) * songOf(player).seconds;
  drawTracks();
}

tracks.addEventListener("pointerdown", (event) => {
  tracks.setPointerCapture(event.pointerId);
  seek(event);
});
tracks.addEventListener("pointermove", (event) => {
  if (tracks.hasPointerCapture(event.pointerId)) {
    seek(event);
  }
});

audio.addEventListener("playing", follow);
audio.addEventListener("seeked", drawTracks);
audio.addEventListener("timeupdate", drawTracks);

// --- begin ---

makeBars(byId("now"), data.classes);
byId("song").append(...data.players.map((each, number) => (
  new Option(`${data.songs[each.song].name} (${data.genres[data.songs[each.song].genre]})`, number))));
byId("song").addEventListener("change", (event) => openSong(Number(event.target.value)));
byId("player").hidden = !data.players.length;
if (data.players.length) {
  openSong(0);
}
repaints.push(drawSong);
setTheme(isDark);
showAll();
