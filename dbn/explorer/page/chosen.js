// What is known of the chosen frame: its song, its spectrum, the units that answer, the classes.

function networkSays(i) {
  const values = row(points.probability, i);
  const best = values.indexOf(Math.max(...values));
  return `Of this frame the network says ${data.classes[best]} (${(values[best] / 255).toFixed(2)}).`;
}

function showChosen(i) {
  const song = data.songs[points.song[i]];
  byId("chosen-song").textContent = song.name;
  byId("chosen-where").textContent = `${genreText(song)}, at ${clock(points.time[i])} of ${clock(song.seconds)}. ` +
    `${networkSays(i)} Of the song it says ${data.classes[song.answer]} (${song.probability.toFixed(2)}).`;
  byId("chosen-more").hidden = false;
  byId("open-song").hidden = playerOf(points.song[i]) < 0;
  byId("strongest").replaceChildren(...layersOf(row(points.units, i)).map((units, layer) => {
    const item = document.createElement("li");
    const order = [...units.keys()].sort((a, b) => units[b] - units[a]).slice(0, 4);
    item.textContent = `Layer ${layer + 1}: ` + order.map((unit) => (
      `unit ${unit + 1} (${(units[unit] / 255).toFixed(2)})`)).join(", ");
    return item;
  }));
  setBars(byId("chosen-classes"), row(points.probability, i));
  drawSpectrum();
  drawUnits();
}

// The layers' parts of a row of all units, then what is left of it: the classes.
function layersOf(values) {
  let start = 0;
  return data.layers.map((size) => values.subarray(start, start += size));
}

function drawSpectrum() {
  if (chosen < 0) {
    return;
  }
  const {context, width, height} = prepared(byId("spectrum"));
  const values = row(points.spectrum, chosen);
  const left = 34, bottom = 20, top = 6;
  const x = (share) => left + share * (width - left - 4);
  const y = (value) => top + (1 - value / 255) * (height - top - bottom);
  context.font = FONT;
  context.fillStyle = softColour();
  context.strokeStyle = lineColour();
  context.textAlign = "right";
  for (const share of [0, .5, 1]) {
    context.beginPath();
    context.moveTo(left, y(255 * share));
    context.lineTo(width, y(255 * share));
    context.stroke();
    context.fillText(String(Math.round((share - 1) * data.decibels)), left - 5, y(255 * share) + 4);
  }
  context.textAlign = "left";
  context.fillText("dB", left + 4, top + 12);
  const kilohertz = data.hertz / 1000;
  const ticks = [0, kilohertz / 2, kilohertz];
  ticks.forEach((tick, i) => {
    context.textAlign = ["left", "center", "right"][i];
    context.fillText(`${Number(tick.toFixed(1))}${i ? " kHz" : ""}`, x(tick / kilohertz), height - 4);
  });
  context.beginPath();
  values.forEach((value, i) => context.lineTo(x((i + .5) / values.length), y(value)));
  context.strokeStyle = colourOf(data.songs[points.song[chosen]].genre);
  context.lineWidth = 1.5;
  context.stroke();
}

function drawUnits() {
  if (chosen < 0) {
    return;
  }
  const canvas = byId("units"), layers = layersOf(row(points.units, chosen));
  const label = 52, space = 6, available = canvas.clientWidth - label;
  // cells of at most 10 pixels, as many a line as there is room for
  const cell = Math.max(2, Math.min(10, Math.floor(Math.sqrt(available * 40 / Math.max(...data.layers)))));
  const inLine = Math.floor(available / cell);
  const heights = layers.map((units) => Math.max(14, Math.ceil(units.length / inLine) * cell));
  canvas.style.height = `${heights.reduce((sum, each) => sum + each + space, 0)}px`;
  const {context} = prepared(canvas);
  context.font = FONT;
  let top = 0;
  layers.forEach((units, layer) => {
    context.fillStyle = softColour();
    context.fillText(`Layer ${layer + 1}`, 0, top + 11);
    units.forEach((value, unit) => {
      context.fillStyle = `rgb(${heat(value).join()})`;
      context.fillRect(label + unit % inLine * cell, top + Math.floor(unit / inLine) * cell, cell - 1, cell - 1);
    });
    top += heights[layer] + space;
  });
}

makeBars(byId("chosen-classes"), data.classes);
byId("play").addEventListener("click", () => clip.paused ? playChosen() : clip.pause());
byId("open-song").addEventListener("click", () => {
  openSong(playerOf(points.song[chosen]), Math.max(0, points.time[chosen] - data.clipSeconds / 2));
  byId("player-title").scrollIntoView({behavior: stillness.matches ? "auto" : "smooth"});
  byId("song").focus({preventScroll: true});
});
repaints.push(drawSpectrum, drawUnits);
